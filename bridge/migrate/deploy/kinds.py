"""What kind of deploy file a file is, by its name and its text. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

__all__ = ["Kind", "is_deployment", "kind_of"]

Kind = Literal["procfile", "dockerfile", "yaml", "systemd", "supervisor", "shell"]

_ELSEWHERE = frozenset(
    {
        *(".github", ".ci", ".circleci", ".gitlab", ".buildkite", ".woodpecker", ".devcontainer"),
        *("tests", "test", "testing", "testdata", "fixtures"),
    }
)
_CI_FILES = frozenset(
    {
        *(".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml"),
        *("appveyor.yml", ".appveyor.yml", ".drone.yml", "cloudbuild.yaml", "codecov.yml"),
        *(".pre-commit-config.yaml", "mkdocs.yml", ".readthedocs.yaml", ".readthedocs.yml"),
    }
)
_SUPERVISOR = re.compile(r"^\[(program|fcgi-program|eventlistener):", re.MULTILINE)


def is_deployment(path: Path, root: Path) -> bool:
    """Whether a file may start or configure the deployed project: not CI, not tests."""
    parts = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return path.name not in _CI_FILES and _ELSEWHERE.isdisjoint(parts)


def kind_of(path: Path, text: str) -> Kind | None:
    """The kind of a deploy file; None for another file, and for the files of one server."""
    name = path.name.lower()
    if name.startswith("procfile"):
        return "procfile"
    if name.startswith(("dockerfile", "containerfile")) or name.endswith(".dockerfile"):
        return "dockerfile"
    if name.endswith((".yml", ".yaml")):
        return "yaml"
    if name.endswith((".service", ".socket")) or _is_drop_in(path):
        return "systemd"
    if name.endswith((".conf", ".ini")) and _SUPERVISOR.search(text):
        return "supervisor"
    return "shell" if _is_script(name, text) else None


def _is_drop_in(path: Path) -> bool:
    return path.suffix == ".conf" and path.parent.name.endswith((".service.d", ".socket.d"))


def _is_script(name: str, text: str) -> bool:
    if name.endswith((".sh", ".bash")):
        return True
    return "." not in name and re.match(r"#!.*\b(ba|da|z)?sh\b", text) is not None

"""Gets a project's sdist and an environment for its tests, each once, with pip."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.suites.projects import Project

__all__ = ["CONSTRAINTS", "Suite", "fetch"]

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
"""A release for everything that the suites need, so that a run can be repeated."""

_FOR_THE_RUN = ("a2wsgi", "asgiref", "pytest", "pytest-timeout")


@dataclass(frozen=True, slots=True)
class Suite:
    """A project's tests, ready to run.

    :ivar folder: the root of the sdist.
    :ivar python: the interpreter of an environment that has the project and what its tests need.
    """

    folder: Path
    python: Path


def fetch(project: Project, folder: Path) -> Suite:
    """Everything for one suite below ``folder``; only what is missing there is fetched.

    :raises subprocess.CalledProcessError: pip failed.
    """
    home = folder / f"{project.title.lower()}-{project.version}"
    home.mkdir(parents=True, exist_ok=True)
    return Suite(_sdist(project, home), _environment(project, home))


def _sdist(project: Project, home: Path) -> Path:
    unpacked = home / "sdist"
    if not unpacked.exists():
        only_source = ["--no-deps", "--no-binary", project.title]
        _pip(Path(sys.executable), "download", *only_source, "--dest", home, project.requirement)
        (archive,) = home.glob("*.tar.gz")
        partial = home / "unpacking"
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        partial.rename(unpacked)
    (root,) = unpacked.iterdir()
    return root


def _environment(project: Project, home: Path) -> Path:
    wanted = [project.requirement, *_FOR_THE_RUN, *project.needs]
    stamp = home / "installed.txt"
    content = "\n".join([sys.version, *wanted, CONSTRAINTS.read_text("utf-8")])
    python = home / "venv" / "bin" / "python"
    if not stamp.exists() or stamp.read_text("utf-8") != content:
        venv.create(home / "venv", clear=True, with_pip=True)
        _pip(python, "install", "--constraint", CONSTRAINTS, *wanted)
        stamp.write_text(content, "utf-8")
    return python


def _pip(python: Path, *arguments: str | Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", *quiet, *arguments], check=True)

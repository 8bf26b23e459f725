"""Reads the deploy files of a project.

Input: the paths of its files. Output: a :class:`~bridge.migrate.deploy.records.Deploy`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bridge.migrate.deploy.apache import apache_config_in, passenger_config_in
from bridge.migrate.deploy.commands import commands_in
from bridge.migrate.deploy.configs import arguments_in, nginx_in, passenger_in_nginx
from bridge.migrate.deploy.dockerfile import dockerfile_parts
from bridge.migrate.deploy.env_files import (
    env_file_parts,
    is_env_file,
    procfile_parts,
    script_parts,
)
from bridge.migrate.deploy.environment import environment_of
from bridge.migrate.deploy.gunicorn_file import gunicorn_config_in
from bridge.migrate.deploy.joined import joined_commands
from bridge.migrate.deploy.kinds import Kind, is_deployment, kind_of
from bridge.migrate.deploy.records import Deploy, Part, ServerConfig
from bridge.migrate.deploy.shell import started_in
from bridge.migrate.deploy.units import supervisor_parts, systemd_parts
from bridge.migrate.deploy.uwsgi_file import uwsgi_config_in
from bridge.migrate.deploy.yaml_parts import yaml_parts
from bridge.migrate.text import CannotRead, Text, read_text

__all__ = ["configs_in", "read_deploy"]

_MAX_BYTES = 256 * 1024
"""Larger files are not read: start scripts and configurations are far smaller."""
_IGNORED_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("css", "csv", "gif", "gz", "html", "ico", "jpeg", "jpg", "js", "lock", "map"),
        *("md", "mo", "pdf", "po", "png", "pyc", "rst", "scss", "so", "sql", "svg", "ts", "tsx"),
        *("woff", "woff2", "zip"),
    )
)


def read_deploy(
    files: Sequence[Path], texts: Mapping[Path, Text] | None = None, root: Path | None = None
) -> Deploy:
    """Read all deploy files among these. Files that cannot be decoded are skipped.

    :param texts: new texts of some files, used instead of what is on disk.
    :param root: the project's folder: what it has for CI and tests is not read.
    """
    found = dict(_texts_of(files, texts or {}, root or Path("/")))
    read = [part for path, text in found.items() for part in _parts_in(path, text)]
    parts = [*_deployed(read, found)]
    environment = environment_of(parts)
    deploy = Deploy((), (), (), (), tuple(parts))
    for path, text in found.items():
        deploy = replace(
            deploy,
            commands=(*deploy.commands, *commands_in(path, text, environment)),
            configs=(*deploy.configs, *configs_in(path, text, environment)),
            nginx=(*deploy.nginx, *nginx_in(path, text)),
            more_arguments=(*deploy.more_arguments, *arguments_in(path, text)),
        )
    commands = joined_commands(deploy.commands, parts)
    return replace(deploy, commands=tuple(commands))


def configs_in(
    path: Path, text: str, environment: Mapping[str, str | None] | None = None
) -> Iterator[ServerConfig]:
    """The configuration of a WSGI server in a file, if it is one.

    :param environment: the variables that the deployment sets: conditions depend on them.
    """
    yield from gunicorn_config_in(path, environment)
    yield from uwsgi_config_in(path, text, environment)
    yield from apache_config_in(path, text)
    yield from passenger_config_in(path, text)
    yield from passenger_in_nginx(path, text)


_PASSES_ON = re.compile(r"""\bexec[ \t]+(?:"\$@"|\$[@*])""")


def _deployed(parts: Sequence[Part], texts: Mapping[Path, str]) -> Iterator[Part]:
    """The parts that are used.

    Not scripts for development, which start no server, and nothing starts; nor examples of
    environment files, unless a part names one.
    """
    loaded = {Path(str(each.value)).name for part in parts for each in part.env_files}
    parts = [
        replace(part, applies=True) if part.path.name in loaded and part.source == "env" else part
        for part in parts
        if part.source != "env" or part.applies is not False or part.path.name in loaded
    ]
    others = "\n".join(
        option.raw for part in parts if part.source != "shell" for option in part.options
    )
    scripts = {part.path: texts[part.path] for part in parts if part.source == "shell"}
    kept = {
        path
        for path, text in scripts.items()
        if path.name in others or _PASSES_ON.search(text) or any(started_in(text))
    }
    while more := {
        path for path in scripts.keys() - kept if any(path.name in scripts[each] for each in kept)
    }:
        kept |= more
    yield from (part for part in parts if part.source != "shell" or part.path in kept)


def _texts_of(
    files: Sequence[Path], texts: Mapping[Path, Text], root: Path
) -> Iterator[tuple[Path, str]]:
    for path in files:
        changed = texts.get(path)
        if _is_candidate(path) and is_deployment(path, root):
            text = changed.text if changed is not None else _text_of(path)
            if text is not None:
                yield path, text


def _parts_in(path: Path, text: str) -> Iterator[Part]:
    kind = kind_of(path, text)
    if kind is not None:
        yield from _READERS[kind](path, text)
    elif is_env_file(path):
        yield from env_file_parts(path, text)


_READERS: dict[Kind, Callable[[Path, str], Iterator[Part]]] = {
    "procfile": procfile_parts,
    "dockerfile": dockerfile_parts,
    "yaml": yaml_parts,
    "systemd": systemd_parts,
    "supervisor": supervisor_parts,
    "shell": script_parts,
}


def _is_candidate(path: Path) -> bool:
    if path.suffix == ".json":
        return "uwsgi" in path.name or path.name == "Passengerfile.json"
    is_python = path.suffix == ".py" and "gunicorn" not in path.name
    return not is_python and path.suffix.lower() not in _IGNORED_SUFFIXES


def _text_of(path: Path) -> str | None:
    if not _is_candidate(path):
        return None
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return read_text(path).text
    except (OSError, CannotRead):
        return None

"""systemd units and sockets with their drop-ins, and the programs of supervisor.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.Part` for the unit, or
for each program. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bridge.migrate.deploy.lines import assignments, sections
from bridge.migrate.deploy.records import Option, Part

__all__ = ["supervisor_parts", "systemd_parts"]

_UNIT_SECTIONS = ("Service", "Socket", "Unit", "Install")


def systemd_parts(path: Path, text: str) -> Iterator[Part]:
    """The unit in a file; a drop-in is part of the unit that its folder names."""
    options: list[Option] = []
    variables: list[Option] = []
    files: list[Option] = []
    for section, line, content in sections(text):
        name, equals, value = (each.strip() for each in content.partition("="))
        if not content:
            continue
        option = _option("systemd", name if equals else "", name or content, value, path, line)
        if section == "Service" and name == "Environment":
            variables += (
                _option("environment", variable, "Environment", each, path, line)
                for variable, each in assignments(value)
            )
        elif section == "Service" and name == "EnvironmentFile":
            files.append(option)
        elif section in _UNIT_SECTIONS:
            options.append(option)
    folder = path.parent.name
    unit = folder.removesuffix(".d") if folder.endswith((".service.d", ".socket.d")) else path.name
    last = text.count("\n") + 1
    yield Part("systemd", unit, path, 1, last, tuple(options), tuple(variables), tuple(files))


def _option(source: str, name: str, shown: str, value: str, path: Path, line: int) -> Option:
    return Option(name, shown, value, path, line, source=source, default=value, raw=value)


# -- supervisor ------------------------------------------------------------------------------------

_SUPERVISOR = re.compile(r"(program|fcgi-program|eventlistener):(.+)|supervisord")
_PAIR = re.compile(r"""(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^,\s]+)""")


def supervisor_parts(path: Path, text: str) -> Iterator[Part]:
    """The programs of a supervisor configuration, and ``[supervisord]`` itself."""
    parts: dict[str, list[tuple[int, str]]] = {}
    firsts: dict[str, int] = {}
    for section, line, content in sections(text, joins=False):
        firsts.setdefault(section, line)
        if content and _SUPERVISOR.fullmatch(section):
            parts.setdefault(section, []).append((line, content))
    for section, lines in parts.items():
        yield _program(path, section, firsts[section], lines)


def _program(path: Path, section: str, first: int, lines: list[tuple[int, str]]) -> Part:
    options: list[Option] = []
    variables: list[Option] = []
    name, number, value = "", 0, ""
    found: list[tuple[str, int, str]] = []
    for line, content in lines:
        key = re.match(r"([\w]+)\s*=\s*(.*)", content)
        if key:
            found.append((name, number, value))
            name, number, value = key.group(1), line, re.sub(r"\s;.*", "", key.group(2)).strip()
        else:
            value = f"{value} {content}"  # an indented line continues the value
    for key_name, line, text in (*found, (name, number, value)):
        if key_name == "environment":
            pairs = _PAIR.findall(text)
            variables += (
                _option("environment", variable, "environment", each.strip("\"'"), path, line)
                for variable, each in pairs
            )
        elif key_name:
            options.append(_option("supervisor", key_name, key_name, text, path, line))
    last = max(line for line, _ in lines)
    title = section.partition(":")[2] or section
    return Part("supervisor", title, path, first, last, tuple(options), tuple(variables))

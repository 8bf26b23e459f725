"""Apache's configuration of mod_wsgi and Passenger, and ``Passengerfile.json``.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.ServerConfig` with each
directive; the arguments of ``WSGIDaemonProcess`` are options of their own, named
``WSGIDaemonProcess+threads``. Options of Passenger have the names of ``Passengerfile.json``. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

from bridge.migrate.deploy.lines import logical_lines
from bridge.migrate.deploy.records import Option, ServerConfig
from bridge.migrate.deploy.tables.passenger import passenger_name
from bridge.migrate.deploy.yaml_nodes import compose, line_of, pairs, text_of

__all__ = ["apache_config_in", "passenger_config_in"]

_IS_WSGI = re.compile(r"^[ \t]*WSGI[A-Z]\w+[ \t]", re.MULTILINE)
_IS_PASSENGER = re.compile(r"^[ \t]*Passenger[A-Z]\w+[ \t]", re.MULTILINE)
_WITH_ARGUMENTS = ("WSGIDaemonProcess", "WSGIScriptAlias", "WSGIImportScript")


def apache_config_in(path: Path, text: str) -> Iterator[ServerConfig]:
    """The configuration in a file, if Apache serves a WSGI app by it."""
    is_wsgi = _IS_WSGI.search(text) is not None
    if path.suffix in (".py", ".md", ".txt") or not (is_wsgi or _IS_PASSENGER.search(text)):
        return
    program = "mod_wsgi" if is_wsgi else "passenger"
    options: list[Option] = []
    blocks: list[str] = []
    for line, content in logical_lines(text):
        if content.startswith("</"):
            blocks = blocks[:-1]
        elif content.startswith("<"):
            blocks.append(content.strip("<> "))
        else:
            options += _directive(path, line, content, program, blocks)
    yield ServerConfig(path, "mod_wsgi" if is_wsgi else "passenger", tuple(options))


def _directive(
    path: Path, line: int, content: str, program: str, blocks: list[str]
) -> Iterator[Option]:
    name, _, rest = content.partition(" ")
    rest = rest.strip()
    conditions = [each for each in blocks if each.split()[0].startswith("If")]
    places = [each for each in blocks if not each.split()[0].startswith("If")]
    condition = " and ".join(f"<{each}>" for each in conditions)
    where = "".join(f" in <{each}>" for each in places if not each.startswith("VirtualHost"))

    def option(full: str, shown: str, value: str) -> Option:
        return Option(
            passenger_name(full),
            shown,
            value,
            path,
            line,
            source=program,
            default=value,
            raw=value,
            condition=condition,
            applies=None if conditions else True,
        )

    if name not in _WITH_ARGUMENTS:
        yield option(name, f"{name}{where}", rest)
        return
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    plain = [word for word in words if "=" not in word]
    yield option(name, name, " ".join(plain))
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            yield option(f"{name}+{key}", f"{name} {key}", value)


def passenger_config_in(path: Path, text: str) -> Iterator[ServerConfig]:
    """``Passengerfile.json``"""
    if path.name != "Passengerfile.json":
        return
    options: list[Option] = []
    for document in compose(text):
        for key, value in pairs(document):
            if key.value == "envvars":
                options += (
                    _json_option(path, "env", f"{name.value}={text_of(each)}", line_of(name))
                    for name, each in pairs(value)
                )
            elif isinstance(value, yaml.ScalarNode):
                options.append(_json_option(path, key.value, value.value, line_of(key)))
    yield ServerConfig(path, "passenger", tuple(options))


def _json_option(path: Path, name: str, value: str, line: int) -> Option:
    return Option(name, name, value, path, line, source="passenger", default=value, raw=value)

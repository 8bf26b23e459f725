"""The configuration files of nginx, and the variable of gunicorn.

Input: a path and its text. Output: values and directives, with their lines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from bridge.migrate.deploy.records import (
    GUNICORN_CMD_ARGS,
    NginxConfig,
    NginxDirective,
    Option,
    ServerConfig,
    VariableArguments,
)
from bridge.migrate.deploy.tables.passenger import passenger_name

__all__ = ["arguments_in", "nginx_in", "passenger_in_nginx"]

_VARIABLE = re.compile(
    rf"""
    (?: "{GUNICORN_CMD_ARGS}=((?:\\.|[^"\\])*)"           # - "NAME=--threads 8"
      | '{GUNICORN_CMD_ARGS}=([^']*)'
      | {GUNICORN_CMD_ARGS}["']?
        (?: [ \t]*[=:][ \t]* | [ \t]+                    # NAME=, NAME: or ENV NAME
          | [ \t]*\n[ \t]*value:[ \t]* )                 # - name: NAME, then value:
        (?: "((?:\\.|[^"\\])*)" | '([^']*)' | ((?:\\\r?\n|[^\n"'])*) )
    )
    """,
    re.VERBOSE,
)
"""An assignment, in a shell, an env file, a Dockerfile, systemd, supervisor, compose and so on."""
_NGINX_TOKEN = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | [{};] | (?:\$\{\w+\}|[^\s{};"'])+""",
    re.VERBOSE,
)


def arguments_in(path: Path, text: str) -> Iterator[VariableArguments]:
    """The values of gunicorn's variable in a file; one without words if it is only mentioned."""
    found = list(_VARIABLE.finditer(text))
    for match in found:
        value = next((each for each in match.groups() if each is not None), "")
        line = text.count("\n", 0, match.start(match.lastindex or 0)) + 1
        yield VariableArguments(path, line, _split(re.sub(r"\\\r?\n", " ", value)))
    if not found and GUNICORN_CMD_ARGS in text:
        line = text.count("\n", 0, text.index(GUNICORN_CMD_ARGS)) + 1
        yield VariableArguments(path, line, None)


def _split(value: str) -> tuple[str, ...] | None:
    try:
        return tuple(shlex.split(value))
    except ValueError:
        return None


def nginx_in(path: Path, text: str) -> Iterator[NginxConfig]:
    """The nginx configuration in a file, if it proxies requests."""
    if _is_nginx(path) and re.search(r"\b(proxy|uwsgi)_pass\b", text):
        yield NginxConfig(path, text, tuple(_directives(text)))


def passenger_in_nginx(path: Path, text: str) -> Iterator[ServerConfig]:
    """The directives of Passenger in a file of nginx, if it has some."""
    if _is_nginx(path) and re.search(r"^[ \t]*passenger_\w+[ \t]", text, re.MULTILINE):
        yield ServerConfig(path, "passenger", tuple(_of_passenger(path, text)))


def _of_passenger(path: Path, text: str) -> Iterator[Option]:
    for directive in _directives(text):
        if directive.name.startswith("passenger_"):
            name, value = passenger_name(directive.name), " ".join(directive.args)
            if directive.name == "passenger_env_var":
                name, value = "env", "=".join(directive.args)
            yield Option(
                name,
                directive.name,
                value,
                path,
                directive.line,
                source="passenger",
                default=value,
                raw=value,
            )


def _is_nginx(path: Path) -> bool:
    """Whether a file may be of nginx, by its name."""
    has_name = path.suffix in (".conf", ".template", ".nginx", ".j2") or "nginx" in path.name
    return has_name or path.parent.name in ("sites-available", "sites-enabled", "conf.d")


def _directives(text: str) -> Iterator[NginxDirective]:
    blocks: list[str] = []
    words: list[re.Match[str]] = []
    for token in _NGINX_TOKEN.finditer(text):
        match token.group():
            case "{":
                blocks.append(" ".join(word.group() for word in words))
                words = []
            case "}":
                blocks = blocks[:-1]
                words = []
            case ";" if words:
                yield _directive(text, words, token.end(), tuple(blocks))
                words = []
            case value if not value.startswith("#") and value != ";":
                words.append(token)


def _directive(
    text: str, words: list[re.Match[str]], end: int, blocks: tuple[str, ...]
) -> NginxDirective:
    start = words[0].start()
    args = tuple(word.group().strip("\"'") for word in words[1:])
    line = text.count("\n", 0, start) + 1
    return NginxDirective(words[0].group(), args, blocks, line, start, end)

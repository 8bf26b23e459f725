"""Command lines in deploy files: Procfile, Dockerfile, compose, systemd, supervisor, shell scripts.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.StartCommand` for each
server that the file starts. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from bridge.migrate.deploy.expansion import expand
from bridge.migrate.deploy.kinds import Kind, kind_of
from bridge.migrate.deploy.records import Option, StartCommand
from bridge.migrate.deploy.shell import (
    FORBIDDEN_IN_QUOTES,
    PROGRAMS,
    Started,
    Word,
    started_by,
    started_in,
)

__all__ = ["commands_in"]

_LINE = r"(?:\\\r?\n|[^\n])*"
_PROCFILE = re.compile(rf"^[\w-]+:({_LINE})", re.MULTILINE)
_DOCKER = re.compile(
    rf"^[ \t]*(?:HEALTHCHECK .*?)?(?:CMD|ENTRYPOINT)[ \t]+({_LINE})", re.MULTILINE | re.IGNORECASE
)
_SYSTEMD = re.compile(rf"^ExecStart[ \t]*=[ \t]*[-@:+!]*({_LINE})", re.MULTILINE)
_SUPERVISOR = re.compile(r"^command[ \t]*=[ \t]*([^\n]*(?:\n[ \t]+[^\n]*)*)", re.MULTILINE)
_YAML_KEY = re.compile(
    r"^(?P<indent>[ \t]*)(?:- )?(?:command|entrypoint|args|startCommand)[ \t]*:[ \t]*"
    r"(?P<rest>[^\n]*)",
    re.MULTILINE,
)
_YAML_ITEM = re.compile(r"\n[ \t]*-[ \t]+([^\n]*)")
_JSON_ITEM = re.compile(r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'')


def commands_in(
    path: Path, text: str, environment: Mapping[str, str | None] | None = None
) -> Iterator[StartCommand]:
    """The servers that a file starts; none if it is not a deploy file.

    :param environment: the variables that the deployment sets: conditions depend on them.
    """
    if not any(program in text for program in (*PROGRAMS, "runserver")):
        return
    kind = kind_of(path, text)
    if kind == "yaml":
        yield from _in_yaml(path, text)
    elif kind == "shell":
        for started in started_in(text, environment=environment):
            yield _record(path, kind, text, started)
    elif kind is not None:
        for found in _PATTERNS[kind].finditer(text):
            yield from _in_line(path, kind, text, *found.span(1))


_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "procfile": _PROCFILE,
    "dockerfile": _DOCKER,
    "systemd": _SYSTEMD,
    "supervisor": _SUPERVISOR,
}


def _in_line(path: Path, kind: Kind, text: str, start: int, end: int) -> Iterator[StartCommand]:
    if text[start:end].lstrip().startswith("["):
        yield from _in_json(path, kind, text, start, end)
    else:
        yield from _in_shell(path, kind, text, start, end)


def _in_shell(
    path: Path, kind: Kind, text: str, start: int, end: int, forbidden: tuple[str, ...] = ()
) -> Iterator[StartCommand]:
    for started in started_in(text, start, end, forbidden):
        yield _record(path, kind, text, started)


def _in_quotes(path: Path, kind: Kind, text: str, start: int, end: int) -> Iterator[StartCommand]:
    """A command line inside quotes of the file's own syntax."""
    yield from _in_shell(path, kind, text, start + 1, end - 1, FORBIDDEN_IN_QUOTES[text[start]])


def _in_json(path: Path, kind: Kind, text: str, start: int, end: int) -> Iterator[StartCommand]:
    """``["gunicorn", "mysite.wsgi"]``, or ``["sh", "-c", "gunicorn mysite.wsgi"]``"""
    found = [*_JSON_ITEM.finditer(text, start, end)]
    words = [Word(each.group(1) or each.group(2) or "", each.start(), each.end()) for each in found]
    started = started_by(words)
    if started is not None:
        yield _record(path, kind, text, started, "exec")
    elif len(words) > 2 and re.fullmatch(r"-\w*c", words[1].value):
        yield from _in_quotes(path, kind, text, words[2].start, words[2].end)


_ENDS_PLAIN_SCALAR = (": ", " #")
"""What ends a plain scalar of YAML."""


def _in_yaml(path: Path, text: str) -> Iterator[StartCommand]:
    for found in _YAML_KEY.finditer(text):
        rest, (start, end) = found.group("rest").strip(), found.span("rest")
        if rest.startswith("["):
            closing = text.find("]", start)
            yield from _in_json(path, "yaml", text, start, closing + 1 if closing >= 0 else end)
        elif rest[:1] in ("|", ">"):
            block_end = _yaml_block_end(text, end, len(found.group("indent")))
            yield from _in_block(path, text, end, block_end, folds=rest.startswith(">"))
        elif rest[:1] in ("'", '"') and rest[-1:] == rest[:1]:
            inner = text.index(rest, start)
            yield from _in_quotes(path, "yaml", text, inner, inner + len(rest))
        elif rest and not rest.startswith("#"):
            yield from _in_shell(path, "yaml", text, start, end, _ENDS_PLAIN_SCALAR)
        else:
            yield from _in_yaml_list(path, text, end)


def _yaml_block_end(text: str, start: int, indent: int) -> int:
    """The offset at which a block of lines, indented deeper than its key, ends."""
    position = start
    for line in text[start:].splitlines(keepends=True)[1:]:
        deeper = len(line) - len(line.lstrip()) > indent
        if line.strip() and not deeper:
            break
        position += len(line)
    first = text.find("\n", start)
    return position + (first - start + 1 if first >= 0 else 0)


def _in_block(
    path: Path, text: str, start: int, end: int, *, folds: bool
) -> Iterator[StartCommand]:
    """A block scalar. ``>`` folds its lines into one: newlines are searched as spaces."""
    block = text[start:end]
    searched = block.rstrip("\n").replace("\n", " ") if folds else block
    for started in started_in(text[:start] + searched, start):
        yield _record(path, "yaml", text, started)


def _in_yaml_list(path: Path, text: str, start: int) -> Iterator[StartCommand]:
    words: list[Word] = []
    indent = 0
    while item := _YAML_ITEM.match(text, start):
        indent = text.index("-", start) - item.start() - 1
        value = item.group(1).strip()
        begin = text.index(value, item.start(1)) if value else item.start(1)
        words.append(Word(value.strip("\"'"), begin, begin + len(value)))
        start = item.end()
    started = started_by(words)
    if started is not None:
        yield _record(path, "yaml", text, started, "list")
    elif len(words) > 2 and re.fullmatch(r"-\w*c", words[1].value):
        script = text[words[2].start : words[2].end]
        if script[:1] in ("|", ">"):
            block_end = _yaml_block_end(text, start, indent)
            yield from _in_block(path, text, start, block_end, folds=script.startswith(">"))
        elif script[:1] in FORBIDDEN_IN_QUOTES:
            yield from _in_quotes(path, "yaml", text, words[2].start, words[2].end)
        else:
            yield from _in_shell(
                path, "yaml", text, words[2].start, words[2].end, _ENDS_PLAIN_SCALAR
            )


def _record(
    path: Path,
    kind: Kind,
    text: str,
    started: Started,
    form: Literal["shell", "exec", "list"] = "shell",
) -> StartCommand:
    start, end = started.words[0].start, started.words[-1].end
    argv = (started.program, *(word.value for word in started.words[1:]))
    line, written = text.count("\n", 0, start) + 1, text[start:end]
    return StartCommand(
        path,
        kind,
        line,
        started.program,
        argv,
        start,
        end,
        written,
        form,
        started.forbidden,
        started.condition,
        started.applies,
        variables=tuple(_variable(path, text, word) for word in started.assignments),
    )


def _variable(path: Path, text: str, word: Word) -> Option:
    name, _, value = word.value.partition("=")
    line = text.count("\n", 0, word.start) + 1
    return Option(
        name, name, value, path, line, source="environment", default=expand(value, {}), raw=value
    )

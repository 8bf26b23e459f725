"""Start commands whose parts are in several places of a file, and those that do not apply.

Input: the start commands and parts of all files. Output: the commands, with the arguments of the
``CMD`` after an ``ENTRYPOINT``, or of the ``args`` of a container. Pure.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bridge.migrate.deploy.records import Option, Part, StartCommand, part_of

__all__ = ["joined_commands"]

_MORE = {("dockerfile", "ENTRYPOINT"): "CMD", ("kubernetes", "command"): "args"}


def joined_commands(
    commands: Sequence[StartCommand], parts: Sequence[Part]
) -> Iterator[StartCommand]:
    """The commands, with further arguments, and with the condition of their part."""
    for command in commands:
        part = part_of(parts, command)
        if part is None:
            yield command
            continue
        if part.applies is False:
            condition = " and ".join(filter(None, (part.name, command.condition)))
            command = replace(command, applies=False, condition=condition)
        more = _more(command, part)
        yield replace(command, argv=(*command.argv, *more), more=more) if more else command


def _more(command: StartCommand, part: Part) -> tuple[str, ...]:
    for (source, first), second in _MORE.items():
        own = _named(part, first)
        other = _named(part, second)
        if part.source != source or own is None or other is None:
            continue
        is_after = own.line <= command.line and not (own.line < other.line <= command.line)
        if is_after and command.form != "shell" and command.argv[1:] != ():
            is_after = _words(own.value)[-len(command.argv) :] == command.argv
        if is_after and _is_list(own) and not _is_shell(own):
            return _words(other.value)
    return ()


def _named(part: Part, name: str) -> Option | None:
    return next((each for each in reversed(part.options) if each.name == name), None)


def _is_list(option: Option) -> bool:
    return isinstance(option.value, list) or str(option.value).startswith("[")


def _is_shell(option: Option) -> bool:
    """``["sh", "-c", "..."]``, whose further arguments are ``$0`` and ``$1``."""
    return any(re.fullmatch(r"-\w*c", word) for word in _words(option.value)[1:2])


def _words(value: Any) -> tuple[str, ...]:
    """The words of a JSON list, of a YAML list, or of a command line."""
    if isinstance(value, list):
        return tuple(value)
    try:
        found = json.loads(value) if value.startswith("[") else shlex.split(value)
    except ValueError:
        return ()
    return tuple(str(each) for each in found)

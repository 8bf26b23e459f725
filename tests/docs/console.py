"""Parses the ``console`` blocks of a page: commands, and the output that the page shows.

Input: the text of a block. Output: :class:`Command` objects, whose addresses tests can replace.
Pure.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tests.harness.ports import HOST

__all__ = [
    "Command",
    "at_port",
    "commands_of",
    "matches",
    "missing_lines",
    "module_of",
    "server_arguments",
    "without_address",
]

SERVERS = {
    "uvicorn": ("uvicorn", "--port {port}"),
    "gunicorn": ("gunicorn", "--no-control-socket --bind {host}:{port}"),
    "hypercorn": ("hypercorn", "--bind {host}:{port}"),
    "granian": ("granian", "--port {port}"),
    "daphne": ("daphne", "--port {port}"),
    "waitress-serve": ("waitress", "--listen {host}:{port}"),
    "bridge": ("bridge", "--port {port}"),
}
"""Command -> the module to run, and the arguments that set its port."""

_ADDRESS = ("--host", "--port", "-p", "--bind", "-b", "--listen")
_PORT_IN_TEXT = re.compile(r"(127\.0\.0\.1|localhost):8\d\d\d\b")
_TIME = re.compile(r"\b\d\d:\d\d:\d\d\b")
_WORKER = re.compile(r"bridge-worker-\d+")
_CHECKER = doctest.OutputChecker()


@dataclass(frozen=True)
class Command:
    """One command of a block, and the output that the page shows below it."""

    text: str
    shown: str

    @property
    def arguments(self) -> list[str]:
        """The command line, the program first."""
        return shlex.split(self.text, comments=True)

    @property
    def is_server(self) -> bool:
        program, *rest = self.arguments
        return program in SERVERS and (program != "bridge" or rest[:1] == ["run"])


def commands_of(code: str) -> list[Command]:
    """The commands of a block: each begins with ``$ ``, and a backslash continues it.

    :raises ValueError: the block does not begin with a command.
    """
    found: list[tuple[str, list[str]]] = []
    continues = False
    for line in code.splitlines():
        if continues:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif line.startswith("$ "):
            found.append((line[2:], []))
        elif not found:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
        else:
            found[-1][1].append(line)
        continues = line.endswith("\\") and not found[-1][1]
    return [Command(text, "".join(f"{line}\n" for line in lines)) for text, lines in found]


def without_address(arguments: Sequence[str]) -> list[str]:
    """A server's arguments without the options that set its address."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in _ADDRESS:
            next(rest)
        elif argument.partition("=")[0] not in _ADDRESS:
            kept.append(argument)
    return kept


def module_of(command: Command) -> str:
    """The module of this server command, for ``python -m``."""
    return SERVERS[command.arguments[0]][0]


def server_arguments(command: Command, port: int) -> list[str]:
    """The arguments of ``python -m`` that run this server command on another port."""
    program, *rest = command.arguments
    module, address = SERVERS[program]
    return [module, *without_address(rest), *address.format(host=HOST, port=port).split()]


def at_port(text: str, port: int) -> str:
    """The text with the page's port, 8000 to 8999, replaced."""
    return _PORT_IN_TEXT.sub(rf"\1:{port}", text)


def matches(shown: str, output: str) -> bool:
    """Whether ``output`` is what the page shows.

    On the page ``...`` matches anything, a time of day any other time, and a worker thread any
    other of its pool: the thread used last may not have finished its request yet.
    """
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    shown, output = (_TIME.sub("12:00:00", text) for text in (shown, output))
    shown, output = (_WORKER.sub("bridge-worker-1", text) for text in (shown, output))
    return not shown.strip() or _CHECKER.check_output(shown, output, flags)


def missing_lines(shown: str, log: str) -> list[str]:
    """The shown lines that are not in a server's log; ``...`` in them matches anything."""
    return [line for line in shown.splitlines() if line.strip() and not _is_in(line, log)]


def _is_in(line: str, log: str) -> bool:
    parts = [re.escape(part) for part in line.strip().split("...")]
    return re.search(r"[^\n]*".join(parts), log) is not None

"""The ``console`` blocks of a page: commands, and what the page says they print.

What enters: the text of a block. What leaves: :class:`Command` objects, with addresses that a test
can use. Pure.
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
    "logs",
    "module_of",
    "prints",
    "server_words",
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
"""Command -> the module to run, and the arguments that put it on a port."""

_ADDRESS = ("--host", "--port", "-p", "--bind", "-b", "--listen")
_PORT_IN_TEXT = re.compile(r"(127\.0\.0\.1|localhost):8\d\d\d\b")
_TIME = re.compile(r"\b\d\d:\d\d:\d\d\b")
_WORKER = re.compile(r"bridge-worker-\d+")
_CHECKER = doctest.OutputChecker()


@dataclass(frozen=True)
class Command:
    """One command of a block, and the lines that the page shows below it."""

    text: str
    shown: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    @property
    def is_server(self) -> bool:
        words = self.words
        return words[0] in SERVERS and (words[0] != "bridge" or words[1:2] == ["run"])


def commands_of(code: str) -> list[Command]:
    """The commands of a block: each begins with ``$ ``, and may go on after a backslash.

    :raises ValueError: the block begins with something else.
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


def without_address(words: Sequence[str]) -> list[str]:
    """A server's command line without the options that say where it listens."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _ADDRESS:
            next(rest)
        elif word.partition("=")[0] not in _ADDRESS:
            kept.append(word)
    return kept


def module_of(command: Command) -> str:
    """What ``python -m`` takes for this server command."""
    return SERVERS[command.words[0]][0]


def server_words(command: Command, port: int) -> list[str]:
    """What ``python -m`` takes to run this server command on another port."""
    module, where = SERVERS[command.words[0]]
    address = where.format(host=HOST, port=port).split()
    return [module, *without_address(command.words[1:]), *address]


def at_port(text: str, port: int) -> str:
    """The text with the page's port, 8000 or so, replaced."""
    return _PORT_IN_TEXT.sub(rf"\1:{port}", text)


def prints(shown: str, output: str) -> bool:
    """Whether ``output`` is what the page shows.

    On the page ``...`` stands for anything, a time of day for any other, and a worker thread for
    any other of its pool: the one used last may still be at the end of its request.
    """
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    shown, output = (_TIME.sub("12:00:00", text) for text in (shown, output))
    shown, output = (_WORKER.sub("bridge-worker-1", text) for text in (shown, output))
    return not shown.strip() or _CHECKER.check_output(shown, output, flags)


def logs(shown: str, log: str) -> list[str]:
    """The shown lines that are nowhere in a server's log; ``...`` in them stands for anything."""
    return [line for line in shown.splitlines() if line.strip() and not _is_in(line, log)]


def _is_in(line: str, log: str) -> bool:
    parts = [re.escape(part) for part in line.strip().split("...")]
    return re.search(r"[^\n]*".join(parts), log) is not None

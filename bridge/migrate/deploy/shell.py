"""Command lines, as far as it takes to find the server that one starts.

What enters: text that a shell would read. What leaves: words with their offsets, and the servers
that are started with them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["BARRED", "PROGRAMS", "Started", "Word", "started_by", "started_in"]

BARRED = {"'": ("'",), '"': ('"', "\\")}
"""What means something else inside of these quotes than outside of them."""

PROGRAMS = frozenset(
    {
        *("gunicorn", "uwsgi", "waitress-serve"),
        *("uvicorn", "hypercorn", "granian", "daphne", "bridge"),
    }
)
_ABOUT_PROGRAMS = frozenset(
    {
        *("pip", "pip3", "conda", "apt", "apt-get", "apk", "yum", "dnf", "brew", "npm", "install"),
        *("echo", "printf", "which", "grep", "cat", "tail", "sed", "command", "type", "man", "ps"),
        *("systemctl", "service", "journalctl", "pkill", "killall", "kill", "useradd", "adduser"),
        *("cd", "cp", "mv", "rm", "ln", "mkdir", "chown", "chmod", "touch", "test", "["),
        *("export", "source", ".", "alias"),
    }
)
_WORD = re.compile(r"""(?:[^\s"'\\;&|#]|\\[^\n]|(?<=\S)#|"(?:\\.|[^"\\])*"|'[^']*')+""")
_BETWEEN = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_ENDS = re.compile(r"&&|\|\||[;&|\n]")
_HEREDOC = re.compile(r"""(?<!<)<<-?[ \t]*(?:\\?([A-Za-z_]\w*)|'([^'\n]+)'|"([^"\n]+)")""")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh")


@dataclass(frozen=True)
class Word:
    """One word: unquoted, and where it stands."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Started:
    """A server that a command line starts.

    :ivar words: the program first.
    :ivar barred: what may not stand there, for the quotes around it.
    """

    program: str
    words: tuple[Word, ...]
    barred: tuple[str, ...] = ()


def started_in(
    text: str, start: int = 0, end: int | None = None, barred: tuple[str, ...] = ()
) -> Iterator[Started]:
    """The servers started by the commands in part of a text, in order.

    :param start: where the command lines begin; offsets in what comes back are into ``text``.
    :param barred: what may not stand in that part.
    """
    for words in _commands(text, start, len(text) if end is None else end):
        inner = _script_of(words)
        if inner is not None:
            more = BARRED.get(text[inner.start], ())
            edge = 1 if more else 0
            yield from started_in(text, inner.start + edge, inner.end - edge, (*barred, *more))
            continue
        found = started_by(words)
        if found is not None:
            yield Started(found.program, found.words, barred)


def started_by(words: Sequence[Word]) -> Started | None:
    """The server that one command starts; None if it does not start any."""
    if not words or words[0].value.rpartition("/")[2] in _ABOUT_PROGRAMS:
        return None
    for position, word in enumerate(words):
        name = word.value.rpartition("/")[2]
        if name in PROGRAMS and not _is_value(words, position):
            return Started(name, tuple(words[position:]))
        if name == "runserver" and position and words[position - 1].value.endswith("manage.py"):
            return Started(name, tuple(words[position:]))
        if name == "install":
            return None
    return None


def _is_value(words: Sequence[Word], position: int) -> bool:
    """Whether it is what an option of another program takes, as in ``sudo -u gunicorn ls``."""
    before = words[position - 1].value if position else ""
    return before.startswith("-") and before not in ("-m", "--") and "=" not in before


def _script_of(words: Sequence[Word]) -> Word | None:
    """What stands in quotes behind ``sh -c``."""
    for shell, option, script in zip(words, words[1:], words[2:], strict=False):
        if _is_shell(shell) and re.fullmatch(r"-\w*c", option.value):
            return script
    return None


def _is_shell(word: Word) -> bool:
    return word.value.rpartition("/")[2] in _SHELLS


def _commands(text: str, start: int, end: int) -> Iterator[list[Word]]:
    words: list[Word] = []
    position = line = start
    while position < end:
        if found := _BETWEEN.match(text, position, end) or _COMMENT.match(text, position, end):
            position = found.end()
        elif found := _ENDS.match(text, position, end):
            yield words
            position = found.end()
            if found.group() == "\n":
                if not any(map(_is_shell, words)):
                    position = _behind_heredocs(text, line, position, end)
                line = position
            words = []
        elif found := _WORD.match(text, position, end):
            words.append(Word(_unquoted(found.group()), found.start(), found.end()))
            position = found.end()
        else:
            position += 1  # a quote without its other half
    yield words


def _behind_heredocs(text: str, line: int, start: int, end: int) -> int:
    """Where commands go on behind the texts that one line, which ends at ``start``, asks for."""
    for found in _HEREDOC.finditer(text, line, start):
        word = next(filter(None, found.groups()))
        last = re.compile(rf"^[ \t]*{re.escape(word)}[ \t\r]*$", re.MULTILINE)
        closing = last.search(text, start, end)
        start = closing.end() if closing else start
    return start


def _unquoted(word: str) -> str:
    try:
        parts = shlex.split(word)
    except ValueError:
        return word
    return parts[0] if len(parts) == 1 else word

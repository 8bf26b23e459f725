"""Shell command lines, parsed far enough to find the servers that they start.

Input: the text of a shell script. Output: words with their offsets, and the servers started. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["FORBIDDEN_IN_QUOTES", "PROGRAMS", "Started", "Word", "started_by", "started_in"]

FORBIDDEN_IN_QUOTES = {"'": ("'",), '"': ('"', "\\")}
"""The characters that have another meaning inside these quotes than outside."""

PROGRAMS = frozenset(
    {
        *("gunicorn", "uwsgi", "waitress-serve"),
        *("uvicorn", "hypercorn", "granian", "daphne", "bridge"),
    }
)
_OTHER_COMMANDS = frozenset(
    {
        *("pip", "pip3", "conda", "apt", "apt-get", "apk", "yum", "dnf", "brew", "npm", "install"),
        *("echo", "printf", "which", "grep", "cat", "tail", "sed", "command", "type", "man", "ps"),
        *("systemctl", "service", "journalctl", "pkill", "killall", "kill", "useradd", "adduser"),
        *("cd", "cp", "mv", "rm", "ln", "mkdir", "chown", "chmod", "touch", "test", "["),
        *("export", "source", ".", "alias"),
    }
)
"""Commands that may name a server in their arguments without starting it."""
_WORD = re.compile(r"""(?:[^\s"'\\;&|#]|\\[^\n]|(?<=\S)#|"(?:\\.|[^"\\])*"|'[^']*')+""")
_BETWEEN = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_ENDS = re.compile(r"&&|\|\||[;&|\n]")
_HEREDOC = re.compile(r"""(?<!<)<<-?[ \t]*(?:\\?([A-Za-z_]\w*)|'([^'\n]+)'|"([^"\n]+)")""")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh")


@dataclass(frozen=True)
class Word:
    """One word, unquoted, and its offsets in the text."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Started:
    """A server that a command line starts.

    :ivar words: the program first.
    :ivar forbidden: texts that the command line cannot contain, because of the quotes around it.
    """

    program: str
    words: tuple[Word, ...]
    forbidden: tuple[str, ...] = ()


def started_in(
    text: str, start: int = 0, end: int | None = None, forbidden: tuple[str, ...] = ()
) -> Iterator[Started]:
    """The servers started by the commands in part of a text, in order.

    :param start: offset of the command lines; all offsets in the result are into ``text``.
    :param forbidden: texts that this part cannot contain.
    """
    for words in _commands(text, start, len(text) if end is None else end):
        inner = _script_of(words)
        if inner is not None:
            more = FORBIDDEN_IN_QUOTES.get(text[inner.start], ())
            edge = 1 if more else 0
            yield from started_in(text, inner.start + edge, inner.end - edge, (*forbidden, *more))
            continue
        found = started_by(words)
        if found is not None:
            yield Started(found.program, found.words, forbidden)


def started_by(words: Sequence[Word]) -> Started | None:
    """The server that one command starts, if any."""
    if not words or words[0].value.rpartition("/")[2] in _OTHER_COMMANDS:
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
    """Whether it is the value of another program's option, as in ``sudo -u gunicorn ls``."""
    before = words[position - 1].value if position else ""
    return before.startswith("-") and before not in ("-m", "--") and "=" not in before


def _script_of(words: Sequence[Word]) -> Word | None:
    """The argument of ``sh -c``."""
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
                    position = _after_heredocs(text, line, position, end)
                line = position
            words = []
        elif found := _WORD.match(text, position, end):
            words.append(Word(_unquoted(found.group()), found.start(), found.end()))
            position = found.end()
        else:
            position += 1  # an unbalanced quote
    yield words


def _after_heredocs(text: str, line: int, start: int, end: int) -> int:
    """The offset after the here-documents of the line from ``line`` to ``start``."""
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

"""Shell command lines, parsed far enough to find the servers that they start.

Input: the text of a shell script. Output: its simple commands, as words with their offsets, under
the conditions of ``if``, ``case`` and ``&&`` around them; and the servers started. Pure.

A server is started by a command whose program it is, or that another program is given to run:
``exec``, ``poetry run``, ``newrelic-admin run-program``. A comparison, a message or the arguments
of ``pip install`` start none, although they contain its name.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.migrate.deploy.expansion import expand

__all__ = [
    "FORBIDDEN_IN_QUOTES",
    "PROGRAMS",
    "Command",
    "Started",
    "Word",
    "assignments_of",
    "commands_in_script",
    "started_by",
    "started_in",
]

FORBIDDEN_IN_QUOTES = {"'": ("'",), '"': ('"', "\\")}
"""The characters that have another meaning inside these quotes than outside."""

PROGRAMS = frozenset(
    {
        *("gunicorn", "uwsgi", "waitress-serve", "mod_wsgi-express"),
        *("uvicorn", "hypercorn", "granian", "daphne", "bridge"),
    }
)
_MODULES = {"gunicorn.app.wsgiapp": "gunicorn", "waitress": "waitress-serve"}
"""Servers as modules after ``python -m``, where the name is another one."""
_OTHER_COMMANDS = frozenset(
    {
        *("pip", "pip3", "conda", "apt", "apt-get", "apk", "yum", "dnf", "brew", "npm", "install"),
        *("echo", "printf", "which", "grep", "cat", "tail", "sed", "command", "type", "man", "ps"),
        *("systemctl", "service", "journalctl", "pkill", "killall", "kill", "useradd", "adduser"),
        *("cd", "cp", "mv", "rm", "ln", "mkdir", "chown", "chmod", "touch", "test", "[", "[["),
        *("export", "source", ".", "alias", "for", "case", "local", "declare", "readonly", "set"),
        *("read", "return", "exit", "find", "awk", "tr", "cut", "curl", "wget", "log", "logger"),
    }
)
"""Commands that may name a server in their arguments without starting it."""
_WORD = re.compile(
    r"""(?:\$\([^()]*\)|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^\s"'\\;&|#]|\\[^\n]|(?<=\S)[#]
    |"(?:\\.|\$\([^()]*\)|\$(?!\([^()]*\))|[^"\\$])*"|'[^']*')+""",
    re.VERBOSE,
)
_BETWEEN = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_ENDS = re.compile(r"&&|\|\||;;&?|;&|[;&|\n]")
_HEREDOC = re.compile(r"""(?<!<)<<-?[ \t]*(?:\\?([A-Za-z_]\w*)|'([^'\n]+)'|"([^"\n]+)")""")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?=)(.*)", re.DOTALL)
_SETS_DEFAULT = re.compile(r"\$\{([A-Za-z_]\w*):?=(.*)\}", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """One word, unquoted, and its offsets in the text."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Command:
    """One simple command.

    :ivar condition: what it depends on, as ``if [ "$1" = web ]``; empty if nothing.
    :ivar applies: whether it runs in the default case; None if that is not known.
    :ivar ends: the separator after it, such as ``&``.
    """

    words: tuple[Word, ...]
    condition: str = ""
    applies: bool | None = True
    ends: str = ""


@dataclass(frozen=True)
class Started:
    """A server that a command line starts.

    :ivar words: the program first.
    :ivar forbidden: texts that the command line cannot contain, because of the quotes around it.
    :ivar condition: see :class:`Command`.
    :ivar assignments: the variables that are set for it alone: ``env A=1 gunicorn``.
    """

    program: str
    words: tuple[Word, ...]
    forbidden: tuple[str, ...] = ()
    condition: str = ""
    applies: bool | None = True
    assignments: tuple[Word, ...] = ()


def started_in(
    text: str,
    start: int = 0,
    end: int | None = None,
    forbidden: tuple[str, ...] = (),
    environment: Mapping[str, str | None] | None = None,
) -> Iterator[Started]:
    """The servers started by the commands in part of a text, in order.

    :param start: offset of the command lines; all offsets in the result are into ``text``.
    :param forbidden: texts that this part cannot contain.
    :param environment: the variables that the deployment sets.
    """
    for command in commands_in_script(text, start, end, environment):
        inner = _script_of(command.words)
        if inner is not None:
            more = FORBIDDEN_IN_QUOTES.get(text[inner.start], ())
            edge = 1 if more else 0
            yield from started_in(text, inner.start + edge, inner.end - edge, (*forbidden, *more))
            continue
        found = started_by(command.words)
        if found is not None:
            yield replace(
                found, forbidden=forbidden, condition=command.condition, applies=command.applies
            )


def started_by(words: Sequence[Word]) -> Started | None:
    """The server that one command starts, if any."""
    everything = list(words)
    words = list(itertools.dropwhile(_is_assignment, words))
    if not words or words[0].value.rpartition("/")[2] in _OTHER_COMMANDS:
        return None
    for position, word in enumerate(words):
        name = word.value.rpartition("/")[2]
        if position and words[position - 1].value == "-m":
            name = _MODULES.get(name, name)
        if name in PROGRAMS and not _is_value(words, position):
            before = everything[: len(everything) - len(words) + position]
            assignments = tuple(filter(_is_assignment, before))
            return Started(name, tuple(words[position:]), assignments=assignments)
        if name == "runserver" and position and words[position - 1].value.endswith("manage.py"):
            return Started(name, tuple(words[position:]))
        if name == "install":
            return None
    return None


def _is_assignment(word: Word) -> bool:
    return _ASSIGNMENT.fullmatch(word.value) is not None


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


def assignments_of(command: Command) -> Iterator[tuple[str, str, Word]]:
    """The variables that a command sets for those after it: name, value as written, and word."""
    words = list(command.words)
    if words and words[0].value in ("export", "declare", "readonly", "local", "typeset"):
        words = words[1:]
    elif words and words[0].value == ":":
        for word in words[1:]:
            found = _SETS_DEFAULT.fullmatch(word.value)
            if found:
                yield found.group(1), word.value.replace(":=", ":-", 1), word
        return
    elif not all(map(_is_assignment, words)):
        return
    for word in words:
        found = _ASSIGNMENT.fullmatch(word.value)
        if found:
            yield found.group(1), found.group(3), word


# -- compound commands -----------------------------------------------------------------------------


@dataclass
class _Frame:
    """``if``, ``case``, a loop or a function, around the current command.

    :ivar tests: of an ``if``: the text and value of each test, with the operator before it.
    :ivar before: of an ``if``: whether one of its earlier branches runs.
    """

    kind: str
    part: str
    text: str = ""
    tests: list[tuple[str, str, bool | None]] = field(default_factory=list)
    before: bool | None = False
    condition: str = ""
    applies: bool | None = True


def commands_in_script(
    text: str,
    start: int = 0,
    end: int | None = None,
    environment: Mapping[str, str | None] | None = None,
) -> Iterator[Command]:
    """The simple commands in part of a text, in order, each under its conditions."""
    reader = _Script(dict(environment or {}))
    for words, ends in _commands(text, start, len(text) if end is None else end):
        yield from reader.read(words, ends)


class _Script:
    def __init__(self, variables: dict[str, str | None]) -> None:
        self._variables = variables
        self._frames: list[_Frame] = []
        self._joined = ""
        """The operator between the last command and this one."""
        self._last: tuple[str, bool | None] | None = None
        """The last command as text, and its value, if it was a test."""

    def read(self, words: list[Word], ends: str) -> Iterator[Command]:
        words = self._reserved(words)
        if words:
            command = self._under_conditions(words, ends)
            self._note(command)
            yield command
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.kind == "case" and ends in (";;", ";&", ";;&"):
            frame.part = "pattern"
        self._joined = ends

    def _under_conditions(self, words: list[Word], ends: str) -> Command:
        conditions = [frame.condition for frame in self._frames]
        applies = _all(frame.applies for frame in self._frames)
        if self._joined in ("&&", "||") and self._last is not None:
            text, holds = self._last
            is_or = self._joined == "||"
            conditions.append(f"unless {text}" if is_or else f"if {text}")
            applies = _all((applies, _not(holds) if is_or else holds))
        condition = " and ".join(each for each in conditions if each)
        return Command(tuple(words), condition, applies, ends)

    def _note(self, command: Command) -> None:
        """Note what later commands depend on."""
        words = command.words
        shown = " ".join(word.value for word in words)
        holds = _test(words, self._variables)
        is_test = words[0].value in ("[", "[[", "test")
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.part == "test":
            frame.tests.append((self._joined if frame.tests else "", shown, holds))
            self._last = None
            return
        if is_test:
            self._last = (shown, holds)
        elif self._joined not in ("&&", "||"):
            self._last = None
        if command.applies is not False:
            for name, raw, _ in assignments_of(command):
                self._variables[name] = expand(raw, self._variables)

    def _reserved(self, words: list[Word]) -> list[Word]:
        """The words without reserved ones, which open and close frames."""
        while words:
            frame = self._frames[-1] if self._frames else None
            first = words[0]
            if frame is not None and frame.kind == "case" and frame.part == "pattern":
                words = self._pattern(frame, words)
                if frame.part == "pattern":
                    return []
                continue
            match first.value:
                case "if":
                    self._frames.append(_Frame("if", "test"))
                case "while" | "until":
                    self._frames.append(_Frame("loop", "test"))
                case "for" | "select":
                    text = " ".join(word.value for word in words)
                    self._frames.append(_Frame("loop", "body", condition=text))
                    return []
                case "case":
                    subject = words[1].value if len(words) > 1 else ""
                    self._frames.append(_Frame("case", "pattern", subject))
                    words = words[3:]
                    continue
                case "elif" | "then" | "else" if frame is not None and frame.kind == "if":
                    self._branch(frame, first.value)
                case "do" if frame is not None and frame.kind == "loop":
                    frame.part = "body"
                case "fi" | "done" | "esac" | "}" if frame is not None:
                    self._frames.pop()
                case "{":
                    self._frames.append(_Frame("group", "body"))
                case "!" | "time":
                    pass
                case "function":
                    words = words[1:]
                case name if re.fullmatch(r"[\w-]+\(\)\{?", name):
                    if name.endswith("{"):
                        self._frames.append(_Frame("group", "body"))
                case _:
                    return _without_parentheses(words)
            words = words[1:]
        return words

    def _pattern(self, frame: _Frame, words: list[Word]) -> list[Word]:
        """``web)``, ``a|b)`` or ``(a)``, before the commands of a branch."""
        if words[0].value == "esac":
            self._frames.pop()
            frame.part = "closed"
            return words[1:]
        position = next((i for i, word in enumerate(words) if ")" in word.value), None)
        if position is None:  # a|
            frame.tests.append(("", words[0].value.lstrip("("), None))
            return []
        pattern, _, rest = words[position].value.partition(")")
        named = [*(text for _, text, _ in frame.tests), pattern.lstrip("(")]
        frame.tests = []
        frame.part = "body"
        frame.condition = f"case {frame.text} in {'|'.join(named)}"
        frame.applies = _matches(frame.text, named, self._variables)
        after = words[position + 1 :]
        if rest:
            word = words[position]
            after = [Word(rest, word.end - len(rest), word.end), *after]
        return after

    def _branch(self, frame: _Frame, word: str) -> None:
        if word == "then":
            text, holds = _joined(frame.tests)
            frame.part, frame.tests = "body", []
            frame.text = text
            frame.condition = f"if {text}"
            frame.applies = _all((_not(frame.before), holds))
            frame.before = _any((frame.before, holds))
        elif word == "elif":
            frame.part, frame.condition, frame.applies = "test", "", True
        else:
            frame.condition, frame.applies = f"unless {frame.text}", _not(frame.before)


def _without_parentheses(words: list[Word]) -> list[Word]:
    """``(cd shop && gunicorn shop)``: the words of a subshell."""
    first, last = words[0], words[-1]
    if first.value.startswith("(") and not first.value.startswith("(("):
        words = [Word(first.value[1:], first.start + 1, first.end), *words[1:]]
        words = words if words[0].value else words[1:]
    if words and last.value.endswith(")") and "(" not in last.value:
        last = words[-1]
        words = [*words[:-1], Word(last.value[:-1], last.start, last.end - 1)]
        words = words if words[-1].value else words[:-1]
    return words


def _joined(tests: Sequence[tuple[str, str, bool | None]]) -> tuple[str, bool | None]:
    """Several tests as one: ``[ a ] && [ b ]``."""
    text, holds = "", None
    for operator, each, value in tests:
        text = f"{text} {operator} {each}" if text else each
        if not operator:
            holds = value
        else:
            holds = _all((holds, value)) if operator == "&&" else _any((holds, value))
    return text, holds


def _test(words: Sequence[Word], variables: Mapping[str, str | None]) -> bool | None:
    """The value of ``[ ... ]`` in the default case; None if it is not known."""
    values = [word.value for word in words]
    if values[:1] not in (["["], ["[["], ["test"]):
        return None
    values = values[1:]
    if values and values[-1] in ("]", "]]"):
        values = values[:-1]
    if values[:1] == ["!"]:
        return _not(
            _test([Word("test", 0, 0), *(Word(each, 0, 0) for each in values[1:])], variables)
        )
    expanded = [expand(each, variables) for each in values]
    if None in expanded:
        return None
    match expanded:
        case ["-n", text] | [text]:
            return bool(text != "")
        case ["-n"] | []:
            return False
        case ["-z", text]:
            return bool(text == "")
        case ["-z"]:
            return True
        case [left, "=" | "==", right]:
            return bool(left == right)
        case ["=" | "==", right]:
            return bool(right == "")
        case [left, "!=", right]:
            return bool(left != right)
        case _:
            return None


def _matches(
    subject: str, patterns: Sequence[str], variables: Mapping[str, str | None]
) -> bool | None:
    value = expand(subject, variables)
    if value is None:
        return None
    if any(re.search(r"[*?\[]", each) for each in patterns):
        return None
    return bool(value in patterns)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: Iterable[bool | None]) -> bool | None:
    found = list(values)
    return False if False in found else None if None in found else True


def _any(values: Iterable[bool | None]) -> bool | None:
    found = list(values)
    return True if True in found else None if None in found else False


# -- simple commands -------------------------------------------------------------------------------


def _commands(text: str, start: int, end: int) -> Iterator[tuple[list[Word], str]]:
    """The words between separators, and the separator after them."""
    words: list[Word] = []
    position = line = start
    while position < end:
        if found := _BETWEEN.match(text, position, end) or _COMMENT.match(text, position, end):
            position = found.end()
        elif (found := _ENDS.match(text, position, end)) and _is_inside_test(words, found):
            words.append(Word(found.group(), *found.span()))
            position = found.end()
        elif found := _ENDS.match(text, position, end):
            yield words, found.group()
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
    yield words, ""


def _is_inside_test(words: Sequence[Word], separator: re.Match[str]) -> bool:
    """Whether it is an operator of ``[[ ... ]]``."""
    brackets = [word.value for word in words if word.value in ("[[", "]]")]
    return brackets[-1:] == ["[["] and separator.group() in ("&&", "||")


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
    return parts[0] if len(parts) == 1 else "" if not parts else word

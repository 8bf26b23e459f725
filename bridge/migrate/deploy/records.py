"""The contents of deploy files, as plain values.

Built by :mod:`~bridge.migrate.deploy.commands` and :mod:`~bridge.migrate.deploy.configs`; read by
rules.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bridge.migrate.findings import Edit

__all__ = [
    "GUNICORN_CMD_ARGS",
    "Deploy",
    "NginxConfig",
    "NginxDirective",
    "Option",
    "Part",
    "ServerConfig",
    "StartCommand",
    "VariableArguments",
    "part_of",
]

GUNICORN_CMD_ARGS = "GUNICORN_CMD_ARGS"
"""The variable whose options gunicorn reads before those of its command line."""

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(.*\))?")


@dataclass(frozen=True)
class Option:
    """One value that a deploy file sets.

    :ivar name: as in the table of its source: for gunicorn as in its configuration file
        (``graceful_timeout``), for uwsgi as in ini files (``max-requests``), for systemd the
        directive; for an environment variable its name. Empty for a line that cannot be read.
    :ivar shown: the name as written in the file.
    :ivar value: a string; True for a switch; a list of strings for an option that may be repeated;
        UNKNOWN for a computed value.
    :ivar line: from 1.
    :ivar source: what reads it: ``gunicorn``, ``uwsgi``, ``systemd``, ``dockerfile`` and so on.
    :ivar default: the value in the default case, with variables replaced; None if only the
        running deployment knows it.
    :ivar raw: the value as written.
    :ivar condition: what it depends on, as ``if-env DEBUG`` or ``${PORT:-8000}``; empty if nothing.
    :ivar applies: whether it applies in the default case; None if that is not known.
    """

    name: str
    shown: str
    value: Any
    path: Path
    line: int
    source: str = ""
    default: Any = None
    raw: str = ""
    condition: str = ""
    applies: bool | None = True


@dataclass(frozen=True)
class StartCommand:
    """One command that starts a server.

    :ivar kind: of the file: ``procfile``, ``dockerfile``, ``yaml`` (compose and others),
        ``systemd``, ``supervisor`` or ``shell``.
    :ivar line: the line of the server's name, from 1.
    :ivar program: ``gunicorn``, ``uwsgi``, ``uvicorn``, ``hypercorn``, ``granian``, ``daphne``,
        ``waitress-serve``, ``bridge`` or ``runserver`` (of ``manage.py``).
    :ivar argv: the program and its arguments, unquoted, without what precedes them (``exec``,
        ``poetry run``, variables).
    :ivar start: offset of the program in the file's text.
    :ivar end: offset after its last argument.
    :ivar text: the text from ``start`` to ``end``.
    :ivar form: ``shell`` for a command line, ``exec`` for items of a JSON list, ``list`` for lines
        of a YAML list.
    :ivar forbidden: texts that the command line cannot contain, such as the quotes around it.
    :ivar condition: what it depends on, as ``if [ "$1" = web ]``; empty if nothing.
    :ivar applies: whether it runs in the default case; None if that is not known.
    :ivar more: arguments from another place of the file, such as the ``CMD`` after an
        ``ENTRYPOINT``: ``argv`` contains them, ``text`` does not.
    :ivar variables: those that are set for this command alone: ``env A=1 gunicorn``.
    """

    path: Path
    kind: Literal["procfile", "dockerfile", "yaml", "systemd", "supervisor", "shell"]
    line: int
    program: str
    argv: tuple[str, ...]
    start: int
    end: int
    text: str
    form: Literal["shell", "exec", "list"] = "shell"
    forbidden: tuple[str, ...] = ()
    condition: str = ""
    applies: bool | None = True
    more: tuple[str, ...] = ()
    variables: tuple[Option, ...] = ()

    def option(self, *names: str) -> str | None:
        """The value of an option: ``--workers 4``, ``--workers=4``, ``-w 4`` or ``-w4``.

        :param names: all spellings of the option.
        :returns: the last value, which most servers use; None if it is not given.
        """
        found: str | None = None
        for position, word in enumerate(self.argv):
            if word in names and position + 1 < len(self.argv):
                found = self.argv[position + 1]
            for name in names:
                if name.startswith("--") and word.startswith(f"{name}="):
                    found = word[len(name) + 1 :]
                elif not name.startswith("--") and word.startswith(name) and word != name:
                    found = word[len(name) :].lstrip("=")
        return found

    def number(self, *names: str) -> int | None:
        """The value of an option as a number; None if it is missing or a variable."""
        value = self.option(*names)
        return int(value) if value is not None and value.isdigit() else None

    @property
    def target(self) -> str | None:
        """The app to serve, as written: ``mysite.wsgi:application``."""
        if self.program == "uwsgi":
            return self.option("--module", "-w", "--wsgi", "--wsgi-file")
        words = self.argv[1:]
        full = next((word for word in words if _TARGET.fullmatch(word)), None)
        return full or next((word for word in words if _MODULE.fullmatch(word)), None)

    def replace(self, argv: Sequence[str]) -> Edit | None:
        """Replace the command, quoted for its file.

        :returns: None if a word of the old or new command cannot be quoted there: nested quotes
            have a different meaning at each level. Also None if some arguments are elsewhere.
        """
        if self.more:
            return None
        if self.form == "exec":
            text = ", ".join(json.dumps(word, ensure_ascii=False) for word in argv)
        elif self.form == "list":
            indent = re.search(r"\n(\s*)- ", self.text)
            between = f"\n{indent.group(1)}- " if indent else "\n- "
            text = between.join(json.dumps(word, ensure_ascii=False) for word in argv)
        else:
            current = re.sub(r"\\\r?\n", " ", self.text)
            words = [_quoted(word, self.forbidden) for word in argv]
            if any(each in current for each in self.forbidden) or None in words:
                return None
            text = " ".join(word for word in words if word is not None)
        return Edit(self.path, self.start, self.end, text)


def _quoted(word: str, forbidden: Sequence[str]) -> str | None:
    """Quoted for a shell, with variables still expanded; None if that needs a forbidden text."""
    if re.fullmatch(r"[\w@%+=:,./${}~-]+", word):
        forms = [word]
    elif "$" in word:
        forms = ['"' + word.replace('"', '\\"') + '"']
    else:
        forms = [shlex.quote(word), *([] if re.search(r'["\\`!]', word) else [f'"{word}"'])]
    return next((form for form in forms if not any(each in form for each in forbidden)), None)


@dataclass(frozen=True)
class Part:
    """A named part of a deploy file that configures one process.

    :ivar source: ``systemd``, ``supervisor``, ``dockerfile``, ``compose``, ``kubernetes``,
        ``procfile``, ``shell``, ``apache`` or ``env``.
    :ivar name: of the unit, program, stage, service or container; the file's, if it has one part.
    :ivar first: its first line, from 1.
    :ivar last: its last line.
    :ivar options: its directives.
    :ivar variables: the environment that it sets: the name of each option is that of the variable.
    :ivar env_files: the files that it reads variables from, as written.
    :ivar applies: whether it is used by default; False for a stage that the last one is not built
        from, and for examples.
    """

    source: str
    name: str
    path: Path
    first: int
    last: int
    options: tuple[Option, ...] = ()
    variables: tuple[Option, ...] = ()
    env_files: tuple[Option, ...] = ()
    applies: bool | None = True

    def contains(self, path: Path, line: int) -> bool:
        """Whether a line of a file, from 1, belongs to it."""
        return self.path == path and self.first <= line <= self.last


def part_of(parts: Iterable[Part], command: StartCommand) -> Part | None:
    """The unit, service, stage or script that contains a command."""
    return next((each for each in parts if each.contains(command.path, command.line)), None)


@dataclass(frozen=True)
class ServerConfig:
    """The configuration file of a server, with the server's own option names.

    :ivar options: each as often as the file sets it, in order.
    """

    path: Path
    program: Literal["gunicorn", "uwsgi", "mod_wsgi", "passenger"]
    options: tuple[Option, ...]


@dataclass(frozen=True)
class VariableArguments:
    """A file that sets or mentions :data:`GUNICORN_CMD_ARGS`.

    :ivar words: its value, split as gunicorn does; None if the value is not in the file, or is
        not valid.
    :ivar line: of the value, from 1.
    """

    path: Path
    line: int
    words: tuple[str, ...] | None


@dataclass(frozen=True)
class NginxDirective:
    """One directive of nginx.

    :ivar blocks: the blocks around it, outermost first, as ``("server", "location /ws/")``.
    :ivar start: offset of its name.
    :ivar end: offset after its ``;``.
    """

    name: str
    args: tuple[str, ...]
    blocks: tuple[str, ...]
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class NginxConfig:
    """An nginx configuration file."""

    path: Path
    text: str
    directives: tuple[NginxDirective, ...]

    def named(self, *names: str) -> list[NginxDirective]:
        """The directives of these names."""
        return [each for each in self.directives if each.name in names]

    def line_text(self, directive: NginxDirective) -> str:
        """The text of the line that a directive begins on."""
        return self.text.split("\n")[directive.line - 1]


@dataclass(frozen=True)
class Deploy:
    """The contents of all deploy files of a project.

    :ivar more_arguments: where :data:`GUNICORN_CMD_ARGS` is set or mentioned.
    :ivar parts: what configures processes around the servers: units, containers, scripts.
    """

    commands: tuple[StartCommand, ...]
    configs: tuple[ServerConfig, ...]
    nginx: tuple[NginxConfig, ...]
    more_arguments: tuple[VariableArguments, ...] = ()
    parts: tuple[Part, ...] = ()

    def starting(self, *programs: str) -> list[StartCommand]:
        """The commands that start one of these programs."""
        return [each for each in self.commands if each.program in programs]

"""What deploy files say, as values.

What enters: nothing. What leaves: the types that :mod:`~bridge.migrate.deploy.places` and
:mod:`~bridge.migrate.deploy.configs` make and rules read.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bridge.migrate.findings import Edit

__all__ = [
    "GUNICORN_CMD_ARGS",
    "ConfigValue",
    "Deploy",
    "NginxConfig",
    "NginxDirective",
    "ServerConfig",
    "StartCommand",
]

GUNICORN_CMD_ARGS = "GUNICORN_CMD_ARGS"
"""The variable whose options gunicorn puts in front of those of its command line."""

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(.*\))?")


@dataclass(frozen=True)
class StartCommand:
    """One server started in one place.

    :ivar kind: of the file: ``procfile``, ``dockerfile``, ``yaml`` (compose and others),
        ``systemd``, ``supervisor`` or ``shell``.
    :ivar line: from 1: where the server's name stands.
    :ivar program: ``gunicorn``, ``uwsgi``, ``uvicorn``, ``hypercorn``, ``granian``, ``daphne``,
        ``waitress-serve``, ``bridge`` or ``runserver`` (of ``manage.py``).
    :ivar argv: the program and its arguments, unquoted. What went before (``exec``, ``poetry run``,
        variables) is not in it.
    :ivar start: offset of the program in the file's text.
    :ivar end: offset after its last argument.
    :ivar text: what stands between the two.
    :ivar form: ``shell`` for a command line, ``exec`` for items of a JSON list, ``list`` for lines
        of a YAML list.
    :ivar barred: what may not stand in a command line there: the quotes that are around it.
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
    barred: tuple[str, ...] = ()

    def option(self, *names: str) -> str | None:
        """The value of an option: ``--workers 4``, ``--workers=4``, ``-w 4`` or ``-w4``.

        :param names: all its spellings.
        :returns: the last one's, as most servers take it; None if it is not given.
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

    def has(self, *names: str) -> bool:
        """Whether a flag or option is given."""
        return any(word.partition("=")[0] in names for word in self.argv)

    def number(self, *names: str) -> int | None:
        """The value of an option as a number; None if it is not given or comes from a variable."""
        value = self.option(*names)
        return int(value) if value is not None and value.isdigit() else None

    @property
    def target(self) -> str | None:
        """The app that it serves, as written: ``mysite.wsgi:application``."""
        if self.program == "uwsgi":
            return self.option("--module", "-w", "--wsgi", "--wsgi-file")
        words = self.argv[1:]
        full = next((word for word in words if _TARGET.fullmatch(word)), None)
        return full or next((word for word in words if _MODULE.fullmatch(word)), None)

    def replace(self, argv: Sequence[str]) -> Edit | None:
        """Start this instead, quoted as it has to be in that file.

        :returns: None where one of the words cannot be quoted there, or the command that stands
            there has such words: quotes in quotes are read differently at each level.
        """
        if self.form == "exec":
            text = ", ".join(json.dumps(word, ensure_ascii=False) for word in argv)
        elif self.form == "list":
            indent = re.search(r"\n(\s*)- ", self.text)
            between = f"\n{indent.group(1)}- " if indent else "\n- "
            text = between.join(json.dumps(word, ensure_ascii=False) for word in argv)
        else:
            now = re.sub(r"\\\r?\n", " ", self.text)
            words = [_quoted(word, self.barred) for word in argv]
            if any(each in now for each in self.barred) or None in words:
                return None
            text = " ".join(word for word in words if word is not None)
        return Edit(self.path, self.start, self.end, text)


def _quoted(word: str, barred: Sequence[str]) -> str | None:
    """Quoted for a shell, its variables left to work; None if that takes what is barred."""
    if re.fullmatch(r"[\w@%+=:,./${}~-]+", word):
        ways = [word]
    elif "$" in word:
        ways = ['"' + word.replace('"', '\\"') + '"']
    else:
        ways = [shlex.quote(word), *([] if re.search(r'["\\`!]', word) else [f'"{word}"'])]
    return next((way for way in ways if not any(each in way for each in barred)), None)


@dataclass(frozen=True)
class ConfigValue:
    """One setting in a server's configuration.

    :ivar value: a string in ini files; whatever the literal is in Python, or ``UNKNOWN``.
    :ivar line: from 1.
    """

    value: Any
    line: int


@dataclass(frozen=True)
class ServerConfig:
    """``gunicorn.conf.py``, or ``uwsgi.ini`` with names as written there (``harakiri``)."""

    path: Path
    program: Literal["gunicorn", "uwsgi"]
    values: dict[str, ConfigValue]


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
    """A file of nginx directives."""

    path: Path
    text: str
    directives: tuple[NginxDirective, ...]

    def named(self, *names: str) -> list[NginxDirective]:
        """The directives of these names."""
        return [each for each in self.directives if each.name in names]


@dataclass(frozen=True)
class Deploy:
    """All that a project's deploy files say.

    :ivar more_arguments: the files that name :data:`GUNICORN_CMD_ARGS`.
    """

    commands: tuple[StartCommand, ...]
    configs: tuple[ServerConfig, ...]
    nginx: tuple[NginxConfig, ...]
    more_arguments: tuple[Path, ...] = ()

    def starting(self, *programs: str) -> list[StartCommand]:
        """The commands that start one of these."""
        return [each for each in self.commands if each.program in programs]

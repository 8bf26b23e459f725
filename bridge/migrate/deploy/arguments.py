"""The command lines of WSGI servers: their words as options.

Input: a start command, or the words of ``GUNICORN_CMD_ARGS``. Output: options, under the names of
the tables. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.migrate.deploy.records import Option, StartCommand
from bridge.migrate.deploy.tables.gunicorn import GUNICORN
from bridge.migrate.deploy.tables.mod_wsgi import MOD_WSGI_EXPRESS
from bridge.migrate.deploy.tables.rows import Table
from bridge.migrate.deploy.tables.uwsgi import SHORT_OPTIONS, UWSGI
from bridge.migrate.deploy.tables.waitress import WAITRESS

__all__ = ["UWSGI_RENAMED", "given_options", "is_switch", "parsed", "uwsgi_name"]

# -- gunicorn --------------------------------------------------------------------------------------

_GUNICORN_SHORT = {
    "-b": "bind",
    "-w": "workers",
    "-k": "worker_class",
    "-t": "timeout",
    "-c": "config",
    "-e": "raw_env",
    "-p": "pidfile",
    "-u": "user",
    "-g": "group",
    "-m": "umask",
    "-n": "proc_name",
    "-D": "daemon",
    "-R": "enable_stdio_inheritance",
}
_GUNICORN_RENAMED = {
    "keep_alive": "keepalive",
    "reload_extra_file": "reload_extra_files",
    "preload": "preload_app",
    "env": "raw_env",
    "pid": "pidfile",
    "name": "proc_name",
    "access_logfile": "accesslog",
    "access_logformat": "access_log_format",
    "error_logfile": "errorlog",
    "log_file": "errorlog",
    "log_level": "loglevel",
    "log_config": "logconfig",
    "log_config_json": "logconfig_json",
    "paster": "paste",
    "log_syslog": "syslog",
    "no_sendfile": "sendfile",
    "proxy_allow_from": "proxy_allow_ips",
}


def _gunicorn_name(flag: str) -> str:
    name = flag[2:].replace("-", "_")
    return _GUNICORN_SHORT.get(flag) or _GUNICORN_RENAMED.get(name, name)


# -- uwsgi -----------------------------------------------------------------------------------------

UWSGI_RENAMED = {
    "wsgi": "module",
    "workers": "processes",
    "uwsgi-socket": "socket",
    "virtualenv": "home",
    "venv": "home",
    "pyhome": "home",
    "pp": "pythonpath",
    "python-path": "pythonpath",
    "file": "wsgi-file",
    "http11-socket": "http-socket",
    "chdir2": "chdir",
    "py-auto-reload": "py-autoreload",
    "python-autoreload": "py-autoreload",
    "python-auto-reload": "py-autoreload",
}
"""Other names of the same options."""


def uwsgi_name(flag: str) -> str:
    """The name in ini files of an option of the command line."""
    name = flag.lstrip("-") if flag.startswith("--") else SHORT_OPTIONS.get(flag, flag)
    return UWSGI_RENAMED.get(name, name)


def _plain_name(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")


# -- all -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Syntax:
    """How a server reads its command line."""

    name_of: Callable[[str], str]
    table: Table


_SYNTAX = {
    "gunicorn": _Syntax(_gunicorn_name, GUNICORN),
    "uwsgi": _Syntax(uwsgi_name, UWSGI),
    "waitress-serve": _Syntax(_plain_name, WAITRESS),
    "mod_wsgi-express": _Syntax(_plain_name, MOD_WSGI_EXPRESS),
}


def given_options(command: StartCommand) -> Iterator[Option]:
    """The options of a command; its other words as options without a name."""
    place = (command.path, command.line)
    if command.program in _SYNTAX:
        lines = list(_lines(command))
        yield from parsed(command.argv[1:], place, command.program, lines[1:])


def _lines(command: StartCommand) -> Iterator[int]:
    """The line of each word, which may be on a continued line; of one elsewhere, the last line."""
    position, line = 0, command.line
    for word in (command.text.split(maxsplit=1)[0], *command.argv[1:]):
        found = command.text.find(word, position)
        if found >= 0:
            line += command.text.count("\n", position, found)
            position = found + len(word)
        yield line


def parsed(
    arguments: Sequence[str], place: tuple[Path, int], program: str, lines: Sequence[int] = ()
) -> Iterator[Option]:
    """The options in these words; other words as options without a name.

    :param lines: the line of each word, if they are not all on that of ``place``.
    """
    syntax = _SYNTAX[program]
    table, name_of = syntax.table, syntax.name_of
    path, line = place

    def option(name: str, shown: str, value: Any) -> Option:
        at = lines[position] if position < len(lines) else line
        return Option(name, shown, value, path, at, source=program)

    words = list(arguments)
    while words:
        position = len(arguments) - len(words)
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if not word.startswith("-") or word in ("-", "--"):
            yield option("", word, word)
        elif not word.startswith("--") and len(flag) > 2:  # -w4, -w=4
            yield option(name_of(word[:2]), word[:2], word[2:].removeprefix("="))
        elif equals:
            yield option(name_of(flag), flag, value)
        elif is_switch(table, name_of(flag)) or not words or _is_flag(words[0]):
            yield option(name_of(flag), flag, True)
        else:
            yield option(name_of(flag), flag, words.pop(0))


def is_switch(table: Table, name: str) -> bool:
    """Whether an option may be given without an argument."""
    return name in table.switches or name in table.optional


def _is_flag(word: str) -> bool:
    return re.fullmatch(r"-[A-Za-z-].*", word) is not None

"""Files of environment variables, Procfiles, and the variables that a shell script sets.

Input: a path and its text. Output: a :class:`~bridge.migrate.deploy.records.Part`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bridge.migrate.deploy.expansion import conditions_in, expand
from bridge.migrate.deploy.records import Option, Part
from bridge.migrate.deploy.shell import Command, assignments_of, commands_in_script, started_by

__all__ = ["env_file_parts", "is_env_file", "is_example", "procfile_parts", "script_parts"]

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*?)[ \t]*\r?")
_EXAMPLE = re.compile(r"example|sample|template|dist\b|default", re.IGNORECASE)
_PROCESS = re.compile(r"([\w-]+):[ \t]*(.*)")
_QUIET = frozenset(
    {
        *(":", ".", "[", "[[", "((", "alias", "break", "cat", "cd", "cp", "continue", "declare"),
        *(
            "echo",
            "exit",
            "export",
            "false",
            "getopts",
            "grep",
            "help",
            "let",
            "ln",
            "local",
            "log",
        ),
        *(
            "mapfile",
            "mkdir",
            "mv",
            "printf",
            "pwd",
            "read",
            "readarray",
            "readonly",
            "return",
            "rm",
        ),
        *("set", "shift", "shopt", "sleep", "source", "tee", "test", "touch", "trap", "true"),
        *("type", "typeset", "ulimit", "umask", "unset", "wait", "which"),
    }
)
"""Commands of a script that start no program, or only prepare files."""
_BEFORE_PROGRAM = frozenset({"exec", "command", "sudo", "env", "nice", "nohup", "time"})
_FUNCTION = re.compile(r"^[ \t]*(?:function[ \t]+([\w-]+)|([\w-]+)[ \t]*\(\))", re.MULTILINE)
_REDIRECTION = re.compile(r"\d*(?:[<>]|&>).*")


def is_env_file(path: Path) -> bool:
    """``.env``, ``.env.production``, ``web.env``, ``env/web``, ``/etc/default/shop``."""
    name = path.name.lower()
    return (
        name == ".env"
        or name.startswith(".env.")
        or name.endswith((".env", ".envrc"))
        or (path.parent.name in (".envs", "envs", ".production", "default", "sysconfig"))
    )


def is_example(path: Path) -> bool:
    """``.env.example``, ``env.sample``: not used as it is."""
    return _EXAMPLE.search(path.name) is not None


def env_file_parts(path: Path, text: str) -> Iterator[Part]:
    """The variables of an environment file."""
    variables: list[Option] = []
    for number, line in enumerate(text.split("\n"), 1):
        found = _LINE.fullmatch(line)
        if found:
            raw = _unquoted(found.group(2))
            variables.append(_variable(path, number, found.group(1), raw, path.name, {}))
    last = text.count("\n") + 1
    applies = not is_example(path)
    yield Part("env", path.name, path, 1, last, (), tuple(variables), applies=applies)


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
        return value[1:-1]
    return re.sub(r"\s#.*", "", value)


def _variable(
    path: Path, line: int, name: str, raw: str, shown: str, variables: Mapping[str, str | None]
) -> Option:
    return Option(
        name,
        shown,
        raw,
        path,
        line,
        source="environment",
        default=expand(raw, variables),
        raw=raw,
        condition=conditions_in(raw),
    )


def procfile_parts(path: Path, text: str) -> Iterator[Part]:
    """The processes of a Procfile."""
    for number, line in enumerate(text.split("\n"), 1):
        found = _PROCESS.fullmatch(line.strip())
        if found:
            name, command = found.groups()
            option = Option(
                "command",
                name,
                command,
                path,
                number,
                source="procfile",
                default=command,
                raw=command,
            )
            yield Part("procfile", name, path, number, number, (option,))


def script_parts(path: Path, text: str) -> Iterator[Part]:
    """The variables that a script sets, and the programs that it runs besides the server."""
    functions = {next(filter(None, found)) for found in _FUNCTION.findall(text)}
    variables: list[Option] = []
    options: list[Option] = []
    values: dict[str, str | None] = {}
    for command in commands_in_script(text):
        line = text.count("\n", 0, command.words[0].start) + 1
        for name, raw, _ in assignments_of(command):
            option = _variable(path, line, name, raw, "shell", values)
            condition = " and ".join(filter(None, (command.condition, option.condition)))
            variables.append(_under(option, command, condition))
            if command.applies is not False:
                values[name] = option.default
        shown = text[command.words[0].start : command.words[-1].end]
        program = _program_of(command)
        is_listed = program and program not in _QUIET and program not in functions
        if is_listed and started_by(command.words) is None:
            name = "background" if command.ends == "&" else "command"
            option = Option(
                name, "command", shown, path, line, source="shell", default=shown, raw=shown
            )
            options.append(_under(option, command, command.condition))
    last = text.count("\n") + 1
    yield Part("shell", path.name, path, 1, last, tuple(options), tuple(variables))


def _program_of(command: Command) -> str:
    """The name of the program that a command runs; empty if it runs none, or is ``"$@"``."""
    if any(True for _ in assignments_of(command)):
        return ""
    for word in command.words:
        value = word.value
        is_before = value in _BEFORE_PROGRAM or _REDIRECTION.fullmatch(value) is not None
        if not is_before and not re.match(r"\w+=", value):
            return "" if value.startswith(("$", "`", "-")) else value.rpartition("/")[2]
    return ""


def _under(option: Option, command: Command, condition: str) -> Option:
    return replace(option, condition=condition, applies=command.applies)

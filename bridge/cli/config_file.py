"""``--config``: the options of a command from a TOML file; ``--print-config`` writes one.

A file has the table ``[run]``; ``pyproject.toml`` has it as ``[tool.bridge.run]``. Its keys are the
long names of the options, without dashes in front, and ``targets``. What the table may contain
comes from the command itself: from the parameters that click has for it. The values become the
defaults of click's parser, so that the command line wins over the file, and the file over the
defaults. Runs on the main thread, while the command line is parsed.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bridge.cli.command_help import CommaList, Integer, Number
from bridge.cli.options import WsgiOptions

__all__ = ["config_text", "key_of", "use_config"]

_UNSET = WsgiOptions()
"""What applies if an option for WSGI apps is not set. To set it is an error for other apps."""
_SOURCES: dict[ParameterSource | None, str] = {
    ParameterSource.COMMANDLINE: "from the command line",
    ParameterSource.DEFAULT_MAP: "from --config",
}


def use_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Read the file and make its values the defaults of this command. For ``callback=``.

    :raises click.UsageError: it cannot be read, or has a key or a value that is wrong.
    """
    if value is not None:
        try:
            ctx.default_map = dict(_defaults(ctx, value))
        except _Mistake as mistake:
            raise click.UsageError(f"--config {value}: {mistake}", ctx) from None
    return value


class _Mistake(Exception):
    """What is wrong with the file."""


def _defaults(ctx: click.Context, path: Path) -> Iterator[tuple[str, Any]]:
    parameters = {key_of(each): each for each in _parameters(ctx)}
    for key, value in _table(path).items():
        parameter = parameters.get(key)
        if parameter is None:
            near = difflib.get_close_matches(key.replace("_", "-"), parameters, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Allowed: {', '.join(parameters)}"
            raise _Mistake(f"unknown key {key!r}. {hint}")
        allowed = _allowed(parameter)
        if not _fits(value, parameter):
            raise _Mistake(f"{key}: expected {allowed}, not {json.dumps(value, default=str)}")
        value = _relative_to(path.absolute().parent, value, parameter)
        try:
            for each in value if parameter.multiple or parameter.nargs == -1 else [value]:
                parameter.type.convert(each, parameter, ctx)
        except click.BadParameter as error:
            raise _Mistake(f"{key}: {error.message}") from None
        yield parameter.name or "", value


def _table(path: Path) -> Mapping[str, Any]:
    names = ("tool", "bridge", "run") if path.name == "pyproject.toml" else ("run",)
    try:
        table: Any = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise _Mistake(error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise _Mistake("it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _Mistake(f"it is not TOML: {error}") from None
    if len(names) == 1 and set(table) - {"run"}:
        other = next(name for name in table if name != "run")
        raise _Mistake(f"unknown key {other!r}: the options belong into the table [run]")
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise _Mistake(f"it has no table [{'.'.join(names)}]")
    return table


def _parameters(ctx: click.Context) -> Iterator[Any]:
    """The parameters that may be in a file. Any: click has no common type for what is used."""
    for parameter in ctx.command.get_params(ctx):
        if parameter.expose_value and parameter.name != "print_config":
            yield parameter


def key_of(parameter: click.Parameter) -> str:
    """The key for a parameter: its long name, without dashes in front."""
    return next((each[2:] for each in parameter.opts if each.startswith("--")), parameter.opts[0])


def _is_list(parameter: Any) -> bool:
    is_repeated: bool = getattr(parameter, "multiple", False) or parameter.nargs == -1
    return is_repeated or isinstance(parameter.type, CommaList)


def _allowed(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "true or false"
    if isinstance(parameter.type, Integer):
        return "an integer"
    if isinstance(parameter.type, Number):
        return "a number"
    return "an array of strings" if _is_list(parameter) else "a string"


def _fits(value: object, parameter: Any) -> bool:
    if getattr(parameter, "is_flag", False):
        return isinstance(value, bool)
    if isinstance(parameter.type, Integer | Number):
        numbers = (int, float) if isinstance(parameter.type, Number) else (int,)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if _is_list(parameter):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def _relative_to(folder: Path, value: Any, parameter: Any) -> Any:
    """A path of the file, from the folder of the file."""
    is_path = isinstance(parameter.type, click.Path) or (
        parameter.metavar == "[PATH]" and value.startswith(("./", "../"))  # it may also be empty
    )
    return str(folder / value) if is_path else value


# -- --print-config --------------------------------------------------------------------------------


def config_text(ctx: click.Context, values: Mapping[str, Any]) -> str:
    """The options of this command line and where each comes from, as a file for ``--config``.

    An option that is not set is a comment, with what applies then.

    :param values: of all parameters, by name.
    """
    lines = ["[run]"]
    for parameter in _parameters(ctx):
        name = parameter.name
        source = ctx.get_parameter_source(name)
        value = values[name]
        key = key_of(parameter)
        if value in (None, ()) or (value == "" and source not in _SOURCES):
            default = getattr(_UNSET, name, None)
            shown = "" if default is None else f" = {_toml(default)}"
            lines.append(f"# {key}{shown}  # not set")
        else:
            lines.append(f"{key} = {_toml(value)}  # {_SOURCES.get(source, 'default')}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value in TOML. Its strings are those of JSON, apart from DEL; its ``inf`` is Python's."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Path):
        value = str(value.absolute())
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""The options of one WSGI server: command line, variable and configuration file, merged.

Input: a start command and the project's configurations. Output: a :class:`Server` with each option
once, and where it is set; and all options as they are written. As in the servers themselves, the
command line overrides gunicorn's ``GUNICORN_CMD_ARGS``, which overrides the file. Options that do
not apply in the default case are only listed. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from bridge.migrate.deploy.arguments import (
    UWSGI_RENAMED,
    given_options,
    is_switch,
    parsed,
    uwsgi_name,
)
from bridge.migrate.deploy.environment import conditions_for, variables_for
from bridge.migrate.deploy.expansion import conditions_in, expand, names_in
from bridge.migrate.deploy.records import Deploy, Option, ServerConfig, StartCommand
from bridge.migrate.deploy.tables.gunicorn import GUNICORN
from bridge.migrate.deploy.tables.uwsgi import UWSGI, UWSGI_VARIABLE, uwsgi_option
from bridge.migrate.literals import UNKNOWN

__all__ = ["Server", "server_of_command", "server_of_config"]


@dataclass(frozen=True)
class Server:
    """One server, as the project starts it.

    :ivar program: ``gunicorn``, ``uwsgi``, ``waitress-serve``, ``mod_wsgi``, ``mod_wsgi-express``
        or ``passenger``.
    :ivar command: None if there is only a configuration file.
    :ivar options: by name.
    :ivar app: as written, ``mysite.wsgi`` or ``shop:create_app()``; None if it is not named.
    :ivar rest: other words of the command, and named configuration files that the project lacks.
    :ivar written: all options, as often as they are written, in order.
    :ivar config: its configuration file; None without one.
    """

    program: str
    command: StartCommand | None
    options: dict[str, Option]
    app: str | None
    rest: tuple[str, ...]
    written: tuple[Option, ...] = ()
    config: Path | None = None

    def default(self, name: str, default: Any = None) -> Any:
        """The value of an option in the default case; None if it is not known then, either."""
        option = self.options.get(name)
        return default if option is None else option.default

    def value(self, name: str, default: Any = None) -> Any:
        """The value of an option; UNKNOWN if it is computed."""
        option = self.options.get(name)
        return default if option is None else option.value

    def text(self, *names: str) -> str | None:
        """The value of the first of these options that is a string."""
        found = (self.value(name) for name in names)
        return next((each for each in found if isinstance(each, str)), None)

    def unknown(self, *names: str) -> list[Option]:
        """Those of these options whose values are computed when the server starts."""
        found = [self.options[name] for name in names if name in self.options]
        return [each for each in found if each.value is UNKNOWN]


_LISTS = frozenset({"bind", "raw_env", "env", "static-map", "mount"})
_CONFIG = {"gunicorn": ("config",), "uwsgi": ("ini", "xml", "yaml", "yml", "json", "config")}
_CONFIG_SUFFIXES = (".ini", ".xml", ".yaml", ".yml", ".json")


def server_of_command(command: StartCommand, deploy: Deploy, base: Path) -> Server:
    """The server that one command starts.

    :param base: the folder to start it in; default configuration files are looked for there and
        in the folder of the command's file.
    """
    variables = variables_for(deploy.parts, command)
    conditions = conditions_for(deploy.parts, command.path, command.line)
    given: list[Option] = []
    words: list[str] = []
    for option in given_options(command):
        if option.name:
            given.append(_resolved(option, variables, conditions))
        else:
            words.append(option.value)
    named = _last(given, _CONFIG.get(command.program, ()))
    files = [word for word in words if word.endswith(_CONFIG_SUFFIXES)]
    if command.program == "uwsgi":
        words = [word for word in words if word not in files]
        named = named or (files[0] if files else None)
    folders = {base, command.path.parent}
    config, missing = _config(command.program, named, deploy.configs, folders)
    if command.program == "mod_wsgi-express" and words[:1] == ["start-server"]:
        words = words[1:]
    variable = [*_from_variable(command.program, deploy)]
    layers = [[*_options_in(config)], variable, given]
    options = _merged(
        [_from_environment(command.program, variables), *layers], _CONFIG.get(command.program, ())
    )
    app = _app(command.program, options, words)
    is_named = command.program not in ("uwsgi",)
    rest = (*words[1 if is_named else 0 :], *missing)
    path = config.path if config is not None else None
    return Server(command.program, command, options, app, rest, tuple(chain(*layers)), path)


def server_of_config(config: ServerConfig, deploy: Deploy) -> Server:
    """The server of a configuration file that no command names."""
    layers = [[*_options_in(config)], [*_from_variable(config.program, deploy)]]
    options = _merged(layers)
    app = _app(config.program, options, [])
    return Server(config.program, None, options, app, (), tuple(chain(*layers)), config.path)


def _last(options: Sequence[Option], names: Sequence[str]) -> Any:
    found = [option.value for option in options if option.name in names]
    return found[-1] if found else None


def _merged(layers: Sequence[Sequence[Option]], without: Sequence[str] = ()) -> dict[str, Option]:
    """Each option once: the last one that applies wins; in one layer, a list grows."""
    merged: dict[str, Option] = {}
    for layer in layers:
        options: dict[str, Option] = {}
        for option in layer:
            if option.applies is not False and option.name not in without:
                _add(options, option)
        merged.update(options)
    return merged


def _add(options: dict[str, Option], option: Option) -> None:
    before = options.get(option.name)
    if option.name in _LISTS and isinstance(option.value, str):
        earlier = before.value if before and isinstance(before.value, list) else []
        option = replace(option, value=[*earlier, option.value])
    options[option.name] = option


def _resolved(
    option: Option, variables: Mapping[str, str | None], conditions: Mapping[str, str]
) -> Option:
    """An option of a command line, with its value in the default case."""
    if not isinstance(option.value, str):
        return replace(option, default=option.value)
    default = expand(option.value, variables)
    through = (conditions.get(name, "") for name in names_in(option.value))
    condition = ", ".join(filter(None, dict.fromkeys((conditions_in(option.value), *through))))
    is_plain = default == option.value
    return replace(
        option, default=default, raw=option.value, condition="" if is_plain else condition
    )


def _from_variable(program: str, deploy: Deploy) -> Iterator[Option]:
    """The options that gunicorn takes from its variable.

    An option whose values differ from file to file is UNKNOWN: which of them applies depends on
    where the server runs.
    """
    merged: dict[str, Option] = {}
    for arguments in deploy.more_arguments if program == "gunicorn" else ():
        options: dict[str, Option] = {}
        words = arguments.words or ()
        place = (arguments.path, arguments.line)
        for option in parsed(words, place, "gunicorn"):
            if option.name:
                _add(options, replace(option, default=option.value, raw=str(option.value)))
        for name, option in options.items():
            is_same = name not in merged or merged[name].value == option.value
            unknown = replace(option, value=UNKNOWN, default=None)
            merged[name] = option if is_same else unknown
    yield from merged.values()


def _from_environment(program: str, variables: Mapping[str, str | None]) -> list[Option]:
    """The options that uwsgi reads from the variables of its environment, as defaults."""
    if program != "uwsgi":
        return []
    return [
        Option(uwsgi_name(f"--{uwsgi_option(name)}"), name, value, Path(), 0, default=value)
        for name, value in variables.items()
        if name.startswith(UWSGI_VARIABLE) and value != ""
    ]


def _config(
    program: str, named: Any, configs: Sequence[ServerConfig], folders: set[Path]
) -> tuple[ServerConfig | None, list[str]]:
    """The configuration file in use, and the name of a missing one."""
    found = [each for each in configs if each.program == program]
    if named is None:
        defaults = [
            each
            for each in found
            if each.path.name == "gunicorn.conf.py" and each.path.parent in folders
        ]
        return (defaults[0] if defaults else None), []
    ending = re.sub(r"^(file:)?(\./)?", "", str(named))
    parts = Path(ending).parts
    for depth in range(len(parts)):  # /srv/app/gunicorn.conf.py may be gunicorn.conf.py here
        for each in found:
            if each.path.parts[-len(parts) + depth :] == parts[depth:]:
                return each, []
    return None, [str(named)]


def _options_in(config: ServerConfig | None) -> Iterator[Option]:
    options = config.options if config is not None else ()
    text = " ".join(option.raw for option in options)
    for option in options:
        name = option.name
        if option.source == "uwsgi":
            name = UWSGI_RENAMED.get(name, name)
            is_own = name not in UWSGI.rows and f"%({name})" in text
            name = "set-placeholder" if is_own else name
        if option.source == "gunicorn" and name not in GUNICORN.rows:
            continue  # a variable of the file, which gunicorn ignores
        yield replace(
            option,
            name=name,
            value=_as_on_command_line(option.source, name, option.value),
            default=_as_on_command_line(option.source, name, option.default),
        )


def _as_on_command_line(program: str, name: str, raw: Any) -> Any:
    if program == "uwsgi" and raw is not UNKNOWN:
        is_on = is_switch(UWSGI, name) and str(raw).lower() in ("true", "1", "yes")
        raw = True if is_on else raw
    grows = program in ("uwsgi", "passenger")  # by each line that sets it
    if isinstance(raw, bool | str):
        return [raw] if name in _LISTS and isinstance(raw, str) and not grows else raw
    if isinstance(raw, list):
        return UNKNOWN if UNKNOWN in raw else [str(each) for each in raw]
    return raw if raw is UNKNOWN or raw is None else str(raw)


def _app(program: str, options: dict[str, Option], words: Sequence[str]) -> str | None:
    if program in ("mod_wsgi", "passenger", "mod_wsgi-express"):
        return _app_of_script(program, options, words)
    if program == "waitress-serve":
        is_factory = "call" in options
        return f"{words[0]}{'()' if is_factory else ''}" if words else None
    if program == "gunicorn":
        named = options.get("wsgi_app")
        return words[0] if words else named.value if named and named.value else None
    mounted = options.get("mount")
    if mounted and isinstance(mounted.value, list) and len(mounted.value) == 1:
        return str(mounted.value[0]).partition("=")[2] or None
    return _uwsgi_app(options)


def _app_of_script(program: str, options: dict[str, Option], words: Sequence[str]) -> str | None:
    """``/srv/shop/shop/wsgi.py`` may be ``shop.wsgi`` here: the last two parts of the path."""
    names = {"mod_wsgi": "WSGIScriptAlias", "passenger": "startup_file"}
    option = options.get(names.get(program, ""))
    written = words[0] if words else option.value if option is not None else ""
    path = str(written).split()[-1] if str(written).split() else ""
    parts = Path(path).with_suffix("").parts[-2:] if path.endswith((".py", ".wsgi")) else ()
    name = ".".join(part for part in parts if part != "/") or path
    attribute = options.get(_CALLABLES.get(program, ""))
    if name and attribute is not None and isinstance(attribute.value, str):
        return f"{name}:{attribute.value}"
    return name or None


_CALLABLES = {"mod_wsgi": "WSGICallableObject", "mod_wsgi-express": "callable-object"}


def _uwsgi_app(options: dict[str, Option]) -> str | None:
    module, file = options.get("module"), options.get("wsgi-file")
    name = None
    if module and isinstance(module.value, str):
        name = module.value
    elif file and isinstance(file.value, str) and not file.value.startswith("/"):
        name = file.value.removeprefix("./").removesuffix(".py").replace("/", ".")
    attribute = options.get("callable")
    if name and ":" not in name and attribute and isinstance(attribute.value, str):
        return f"{name}:{attribute.value}"
    return name

"""The options of one gunicorn or uwsgi: command line, variable and configuration file, merged.

Input: a start command and the project's configurations. Output: a :class:`Server` with each option
once, and where it is set. As in the servers themselves, the command line overrides gunicorn's
``GUNICORN_CMD_ARGS``, which overrides the file. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bridge.migrate.deploy.records import ConfigValue, Deploy, ServerConfig, StartCommand
from bridge.migrate.literals import UNKNOWN

__all__ = ["Option", "Server", "server_of_command", "server_of_config"]


@dataclass(frozen=True)
class Option:
    """One option.

    :ivar name: for gunicorn as in its configuration file (``graceful_timeout``), for uwsgi as in
        ini files (``max-requests``).
    :ivar shown: the name as written in the file.
    :ivar value: a string; True for a switch; a list of strings for an option that may be repeated;
        UNKNOWN for a computed value.
    """

    name: str
    shown: str
    value: Any
    path: Path
    line: int


@dataclass(frozen=True)
class Server:
    """One server, as the project starts it.

    :ivar program: ``gunicorn`` or ``uwsgi``.
    :ivar command: None if there is only a configuration file.
    :ivar options: by name.
    :ivar app: as written, ``mysite.wsgi`` or ``shop:create_app()``; None if it is not named.
    :ivar rest: other words of the command, and named configuration files that the project lacks.
    """

    program: str
    command: StartCommand | None
    options: dict[str, Option]
    app: str | None
    rest: tuple[str, ...]

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
_GUNICORN_SWITCHES = frozenset(
    {
        *("reload", "spew", "check_config", "print_config", "preload_app", "sendfile"),
        *("reuse_port", "daemon", "initgroups", "disable_redirect_access_to_syslog"),
        *("capture_output", "syslog", "enable_stdio_inheritance", "suppress_ragged_eofs"),
        *("do_handshake_on_connect", "permit_obsolete_folding", "strip_header_spaces"),
        *("no_control_socket", "enable_backlog_metric", "version", "help"),
    }
)
_LISTS = frozenset({"bind", "raw_env", "env", "static-map", "mount"})


def _gunicorn_name(flag: str) -> str:
    name = flag[2:].replace("-", "_")
    return _GUNICORN_SHORT.get(flag) or _GUNICORN_RENAMED.get(name, name)


# -- uwsgi -----------------------------------------------------------------------------------------

_UWSGI_RENAMED = {
    "-w": "module",
    "wsgi": "module",
    "-p": "processes",
    "workers": "processes",
    "-s": "socket",
    "uwsgi-socket": "socket",
    "-t": "harakiri",
    "-R": "max-requests",
    "-H": "home",
    "virtualenv": "home",
    "venv": "home",
    "pyhome": "home",
    "-M": "master",
    "-L": "disable-logging",
    "-l": "listen",
    "-b": "buffer-size",
    "-d": "daemonize",
    "-C": "chmod-socket",
    "-i": "single-interpreter",
    "pp": "pythonpath",
    "file": "wsgi-file",
}
_UWSGI_SWITCHES = frozenset(
    {
        *("master", "vacuum", "die-on-term", "need-app", "lazy-apps", "lazy", "enable-threads"),
        *("single-interpreter", "thunder-lock", "disable-logging", "no-orphans", "memory-report"),
        *("auto-procname", "strict", "ignore-sigpipe", "ignore-write-errors", "show-config"),
        *("disable-write-exception", "manage-script-name", "log-x-forwarded-for", "so-keepalive"),
        *("http-keepalive", "http-auto-chunked", "http-websockets", "http-raw-body"),
    }
)


def _uwsgi_name(flag: str) -> str:
    name = flag.lstrip("-") if flag.startswith("--") else flag
    return _UWSGI_RENAMED.get(name, name)


# -- both ------------------------------------------------------------------------------------------


def server_of_command(command: StartCommand, deploy: Deploy, base: Path) -> Server:
    """The server that one command starts.

    :param base: the folder to start it in; default configuration files are looked for there and
        in the folder of the command's file.
    """
    is_gunicorn = command.program == "gunicorn"
    options: dict[str, Option] = {}
    words: list[str] = []
    for option in _options_of(command) if is_gunicorn else _uwsgi_options_of(command):
        if option.name:
            _add(options, option)
        else:
            words.append(option.value)
    named = options.pop("config" if is_gunicorn else "ini", None)
    inis = [word for word in words if word.endswith(".ini")]
    if not is_gunicorn:
        words = [word for word in words if word not in inis]
    file = named.value if named else inis[0] if inis and not is_gunicorn else None
    config, missing = _config(command.program, file, deploy.configs, {base, command.path.parent})
    merged = {**_options_in(config), **_from_variable(command.program, deploy), **options}
    app = _app(command.program, merged, words)
    rest = (*words[1 if is_gunicorn else 0 :], *missing)
    return Server(command.program, command, merged, app, rest)


def server_of_config(config: ServerConfig, deploy: Deploy) -> Server:
    """The server of a configuration file that no command names."""
    options = {**_options_in(config), **_from_variable(config.program, deploy)}
    return Server(config.program, None, options, _app(config.program, options, []), ())


def _add(options: dict[str, Option], option: Option) -> None:
    before = options.get(option.name)
    if option.name in _LISTS and isinstance(option.value, str):
        earlier = before.value if before and isinstance(before.value, list) else []
        option = replace(option, value=[*earlier, option.value])
    options[option.name] = option


def _from_variable(program: str, deploy: Deploy) -> dict[str, Option]:
    """The options that gunicorn takes from its variable.

    An option whose values differ from file to file is UNKNOWN: which of them applies depends on
    where the server runs.
    """
    merged: dict[str, Option] = {}
    for arguments in deploy.more_arguments if program == "gunicorn" else ():
        options: dict[str, Option] = {}
        words = arguments.words or ()
        place = (arguments.path, arguments.line)
        for option in _parsed(words, place, _gunicorn_name, _GUNICORN_SWITCHES):
            if option.name:
                _add(options, option)
        for name, option in options.items():
            is_same = name not in merged or merged[name].value == option.value
            merged[name] = option if is_same else replace(option, value=UNKNOWN)
    return merged


def _options_of(command: StartCommand) -> Iterator[Option]:
    """The options of a gunicorn command; its other words as options without a name."""
    place = (command.path, command.line)
    yield from _parsed(command.argv[1:], place, _gunicorn_name, _GUNICORN_SWITCHES)


def _uwsgi_options_of(command: StartCommand) -> Iterator[Option]:
    place = (command.path, command.line)
    yield from _parsed(command.argv[1:], place, _uwsgi_name, _UWSGI_SWITCHES)


def _parsed(
    arguments: Sequence[str],
    place: tuple[Path, int],
    name_of: Callable[[str], str],
    switches: frozenset[str],
) -> Iterator[Option]:
    def option(name: str, shown: str, value: Any) -> Option:
        return Option(name, shown, value, *place)

    words = list(arguments)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            yield option("", word, word)
        elif not word.startswith("--") and len(flag) > 2:  # -w4, -w=4
            yield option(name_of(word[:2]), word[:2], word[2:].removeprefix("="))
        elif equals:
            yield option(name_of(flag), flag, value)
        elif name_of(flag) in switches or not words or _is_flag(words[0]):
            yield option(name_of(flag), flag, True)
        else:
            yield option(name_of(flag), flag, words.pop(0))


def _is_flag(word: str) -> bool:
    return re.fullmatch(r"-[A-Za-z-].*", word) is not None


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


def _options_in(config: ServerConfig | None) -> dict[str, Option]:
    options: dict[str, Option] = {}
    if config is None:
        return options
    for written, value in config.values.items():
        name = _UWSGI_RENAMED.get(written, written) if config.program == "uwsgi" else written
        plain = _as_on_command_line(config.program, name, value)
        options[name] = Option(name, written, plain, config.path, value.line)
    return options


def _as_on_command_line(program: str, name: str, value: ConfigValue) -> Any:
    raw = value.value
    if program == "uwsgi":
        if re.search(r"%\(|%[a-zA-Z]|\$\(|@\(", raw):
            return UNKNOWN
        raw = True if raw.lower() in ("true", "1", "yes") and name in _UWSGI_SWITCHES else raw
    if isinstance(raw, bool | str):
        return [raw] if name in _LISTS and isinstance(raw, str) else raw
    if isinstance(raw, list):
        return UNKNOWN if UNKNOWN in raw else [str(each) for each in raw]
    return UNKNOWN if raw is UNKNOWN else str(raw)


def _app(program: str, options: dict[str, Option], words: Sequence[str]) -> str | None:
    if program == "gunicorn":
        named = options.get("wsgi_app")
        return words[0] if words else named.value if named and named.value else None
    mounted = options.get("mount")
    if mounted and isinstance(mounted.value, list) and len(mounted.value) == 1:
        return str(mounted.value[0]).partition("=")[2] or None
    return _uwsgi_app(options)


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

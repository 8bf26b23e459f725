"""What gunicorn and uwsgi are asked for: the command line and the configuration files together.

What enters: a start command and the configurations of the project. What leaves: a :class:`Server`,
with each option once and the place it comes from. The command line goes first, as it does for the
servers themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.migrate.deploy.records import ConfigValue, ServerConfig, StartCommand
from bridge.migrate.literals import UNKNOWN

__all__ = ["Option", "Server", "server_of_command", "server_of_config"]


@dataclass(frozen=True)
class Option:
    """One option.

    :ivar name: gunicorn's as in its configuration file (``graceful_timeout``), uwsgi's as in ini
        files (``max-requests``).
    :ivar shown: as it is written there.
    :ivar value: a string or, of a switch, True; of an option that may be repeated, a list of
        strings; UNKNOWN for what is computed.
    """

    name: str
    shown: str
    value: Any
    path: Path
    line: int


@dataclass(frozen=True)
class Server:
    """All that one server is asked for.

    :ivar program: ``gunicorn`` or ``uwsgi``.
    :ivar command: None where only a configuration file is there.
    :ivar options: by their names.
    :ivar app: as written, ``mysite.wsgi`` or ``shop:create_app()``; None where it is not told.
    :ivar rest: words that are neither, and files that are not in the project.
    """

    program: str
    command: StartCommand | None
    options: dict[str, Option]
    app: str | None
    rest: tuple[str, ...]

    def value(self, name: str, default: Any = None) -> Any:
        """What an option is set to; UNKNOWN where that is computed."""
        option = self.options.get(name)
        return default if option is None else option.value

    def text(self, *names: str) -> str | None:
        """The first of these options that is a string."""
        found = (self.value(name) for name in names)
        return next((each for each in found if isinstance(each, str)), None)

    def unknown(self, *names: str) -> list[Option]:
        """Those of these options whose values only the running server knows."""
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


# -- together --------------------------------------------------------------------------------------


def server_of_command(command: StartCommand, configs: Sequence[ServerConfig], base: Path) -> Server:
    """What one command asks of gunicorn or uwsgi.

    :param base: the folder that it is started in; the command's own is tried, too.
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
    wanted = named.value if named else inis[0] if inis and not is_gunicorn else None
    config, missing = _config(command.program, wanted, configs, {base, command.path.parent})
    merged = {**_options_in(config), **options} if config else options
    app = _app(command.program, merged, words)
    rest = (*words[1 if is_gunicorn else 0 :], *missing)
    return Server(command.program, command, merged, app, rest)


def server_of_config(config: ServerConfig) -> Server:
    """What a configuration file asks for by itself."""
    options = _options_in(config)
    return Server(config.program, None, options, _app(config.program, options, []), ())


def _add(options: dict[str, Option], option: Option) -> None:
    before = options.get(option.name)
    if option.name in _LISTS and isinstance(option.value, str):
        earlier = before.value if before and isinstance(before.value, list) else []
        option = Option(
            option.name, option.shown, [*earlier, option.value], option.path, option.line
        )
    options[option.name] = option


def _options_of(command: StartCommand) -> Iterator[Option]:
    """The options of a gunicorn command, and its other words under no name."""
    yield from _parsed(command, _gunicorn_name, _GUNICORN_SWITCHES)


def _uwsgi_options_of(command: StartCommand) -> Iterator[Option]:
    yield from _parsed(command, _uwsgi_name, _UWSGI_SWITCHES)


def _parsed(
    command: StartCommand, name_of: Callable[[str], str], switches: frozenset[str]
) -> Iterator[Option]:
    def option(name: str, shown: str, value: Any) -> Option:
        return Option(name, shown, value, command.path, command.line)

    words = list(command.argv[1:])
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
    """The configuration file in use, and the one that is named but is not there."""
    found = [each for each in configs if each.program == program]
    if named is None:
        named_so = [each for each in found if each.path.name == "gunicorn.conf.py"]
        default = [each for each in named_so if each.path.parent in folders]
        return (default[0] if default else None), []
    ending = re.sub(r"^(file:)?(\./)?", "", str(named))
    parts = Path(ending).parts
    for depth in range(len(parts)):  # /srv/app/gunicorn.conf.py is conf in the project, too
        for each in found:
            if each.path.parts[-len(parts) + depth :] == parts[depth:]:
                return each, []
    return None, [str(named)]


def _options_in(config: ServerConfig) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for written, value in config.values.items():
        name = _UWSGI_RENAMED.get(written, written) if config.program == "uwsgi" else written
        options[name] = Option(
            name, written, _plain(config.program, name, value), *_at(config, value)
        )
    return options


def _at(config: ServerConfig, value: ConfigValue) -> tuple[Path, int]:
    return config.path, value.line


def _plain(program: str, name: str, value: ConfigValue) -> Any:
    """As it would be on a command line."""
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

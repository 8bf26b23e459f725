"""Translates the options of gunicorn and uwsgi into a command line of uvicorn or ``bridge run``.

Input: a :class:`~bridge.migrate.deploy.server.Server`. Output: a :class:`CommandLine`: the command,
the options without a counterpart, and the reasons why no command can be written. Pure.

``uvicorn`` serves an ASGI app; ``bridge run`` serves a WSGI app on uvicorn, in worker threads. A
computed value, or an option that protects the server (``--user``), is never dropped: it blocks the
command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.literals import UNKNOWN

__all__ = [
    "HARMLESS",
    "CommandLine",
    "bridge_command",
    "is_green",
    "script_name",
    "uvicorn_command",
]

HARMLESS = frozenset(
    {
        *("wsgi_app", "worker_class", "worker_tmp_dir", "proc_name", "capture_output", "sendfile"),
        *("control_socket", "control_socket_mode", "no_control_socket", "threads", "strict"),
        *("enable_stdio_inheritance", "initgroups", "http_parser", "module", "wsgi-file"),
        *("callable", "master", "vacuum", "die-on-term", "need-app", "lazy-apps", "lazy"),
        *("enable-threads", "single-interpreter", "thunder-lock", "no-orphans", "memory-report"),
        *("auto-procname", "procname", "procname-prefix", "ignore-sigpipe", "project", "base"),
        *("ignore-write-errors", "disable-write-exception", "buffer-size", "chmod-socket"),
        *("http-keepalive", "so-keepalive", "http-auto-chunked", "http-raw-body", "plugin"),
        *("plugins", "manage-script-name", "mount", "home", "protocol", "log-x-forwarded-for"),
    }
)
"""Options that need no counterpart: server internals, or covered by other options."""

_NEVER_DROPPED = {
    "user": "uvicorn cannot change to another user: start it as that user",
    "uid": "user",
    "group": "uvicorn cannot change to another group: start it in that group",
    "gid": "group",
    "umask": "set it before the server starts",
    "daemon": "uvicorn runs in the foreground",
    "daemonize": "daemon",
    "paste": "uvicorn cannot read Paste files",
    "proxy_protocol": "uvicorn does not support the PROXY protocol",
    "http_protocols": "it enables protocols other than HTTP/1.1",
    "https": "use uvicorn's --ssl-certfile and --ssl-keyfile",
    "emperor": "it starts other uwsgi instances",
}
"""Options that block the command: the reason, or the option with the same reason."""
_UVICORN = {
    "host": "--host",
    "port": "--port",
    "uds": "--uds",
    "fd": "--fd",
    "workers": "--workers",
    "loglevel": "--log-level",
    "keepalive": "--timeout-keep-alive",
    "backlog": "--backlog",
    "graceful_timeout": "--timeout-graceful-shutdown",
    "max_requests": "--limit-max-requests",
    "max_requests_jitter": "--limit-max-requests-jitter",
    "reload": "--reload",
    "forwarded_allow_ips": "--forwarded-allow-ips",
    "app_dir": "--app-dir",
    "certfile": "--ssl-certfile",
    "keyfile": "--ssl-keyfile",
    "ca_certs": "--ssl-ca-certs",
    "cert_reqs": "--ssl-cert-reqs",
    "ciphers": "--ssl-ciphers",
    "no_access_log": "--no-access-log",
}
_BRIDGE = {
    "host": "--host",
    "port": "--port",
    "uds": "--uds",
    "workers": "--workers",
    "threads": "--threads",
    "loglevel": "--log-level",
    "graceful_timeout": "--grace-s",
    "root_path": "--root-path",
    "app_dir": "--app-dir",
    "reload": "--reload",
}
_ONLY_UVICORN = ("fd", "certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers")
_GUNICORN_SAME = (
    *("workers", "loglevel", "keepalive", "backlog", "graceful_timeout", "max_requests"),
    *("max_requests_jitter", "forwarded_allow_ips", "certfile", "keyfile", "ca_certs"),
    *("cert_reqs", "ciphers", "reload"),
)
_UWSGI_SAME = {
    "processes": "workers",
    "listen": "backlog",
    "max-requests": "max_requests",
    "py-autoreload": "reload",
}


_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]{}]*|\$\{\w+\}):(\d+|\$\w+|\$\{[^}]+\}|%\(\w+\)s)")


@dataclass(frozen=True)
class CommandLine:
    """A translated command.

    :ivar argv: the program first, preceded by ``/usr/bin/env NAME=value`` where needed.
    :ivar lost: the options without a counterpart, as written.
    :ivar blocked: short reasons why the command must not be written; empty if it may.
    """

    argv: tuple[str, ...]
    lost: tuple[str, ...]
    blocked: tuple[str, ...]


def uvicorn_command(
    server: Server, app: str, text: str, *, grace_s: int | None = None
) -> CommandLine:
    """The command that serves an ASGI app.

    :param app: as ``mysite.asgi:application``.
    :param text: of the file that contains the command: it may set variables.
    :param grace_s: seconds that open responses get at shutdown, if the server sets none.
    """
    options, blocked = _translated(server, text, grace_s)
    if "root_path" in options:
        blocked.append(
            "SCRIPT_NAME: uvicorn expects a proxy to strip it from the path. Set "
            "FORCE_SCRIPT_NAME in the settings instead (X506)"
        )
    if server.value("accesslog") is None and server.program == "gunicorn":
        options["no_access_log"] = True
    return _command_line(server, ["uvicorn", app], _UVICORN, options, blocked)


def bridge_command(
    server: Server,
    app: str,
    text: str,
    *,
    threads: int | None = None,
    grace_s: int | None = None,
) -> CommandLine:
    """The command that serves a WSGI app on uvicorn.

    :param threads: in place of those that the server sets.
    """
    options, blocked = _translated(server, text, grace_s)
    if threads is not None:
        options["threads"] = threads
    elif not is_green(server):
        options["threads"] = server.value("threads", "1")
    if "workers" not in options and _expands(server.command) and _is_on_a_platform(server, text):
        options["workers"] = "${WEB_CONCURRENCY:-1}"  # gunicorn reads it; bridge run does not
    blocked += [f"bridge run has no option for {key}" for key in _ONLY_UVICORN if key in options]
    trusted = options.pop("forwarded_allow_ips", None)
    if isinstance(trusted, str):
        options["environment"] = [*options["environment"], f"FORWARDED_ALLOW_IPS={trusted}"]
    return _command_line(
        server, ["bridge", "run", app, "--server", "uvicorn"], _BRIDGE, options, blocked
    )


def is_green(server: Server) -> bool:
    """Whether it serves requests on green threads, of gevent or eventlet."""
    worker = str(server.value("worker_class", ""))
    return "gevent" in worker or "eventlet" in worker or "gevent" in server.options


def _command_line(
    server: Server,
    start: list[str],
    flags: dict[str, str],
    options: dict[str, Any],
    blocked: list[str],
) -> CommandLine:
    environment = options.pop("environment")
    unknown = [key for key, value in options.items() if value is UNKNOWN]
    blocked += [f"{key} is computed in the configuration file" for key in unknown]
    argv = list(start)
    for key, flag in flags.items():
        if key in options and key not in unknown:
            argv += [flag] if options[key] is True else [flag, str(options[key])]
    prefix = ["/usr/bin/env", *environment] if environment else []
    return CommandLine((*prefix, *argv), _lost(server, flags), tuple(dict.fromkeys(blocked)))


def _lost(server: Server, flags: dict[str, str]) -> tuple[str, ...]:
    covered = {*HARMLESS, *_NEVER_DROPPED, "bind", "raw_env", "env", "accesslog", "chdir"}
    covered |= {"pythonpath", "http", "http-socket", "socket", "disable-logging"}
    covered |= {*flags, *(name for name, key in _UWSGI_SAME.items() if key in flags)}
    covered |= {"forwarded_allow_ips"}
    if "threads" not in flags:
        covered.discard("threads")
    lost = [option for name, option in server.options.items() if name not in covered]
    if server.value("accesslog", "-") not in ("-", ""):
        lost.append(server.options["accesslog"])
    to_stderr = [each for each in lost if each.name == "errorlog" and each.value == "-"]
    return tuple(each.shown for each in lost if each not in to_stderr)


# -- gunicorn's and uwsgi's options, under the names of the tables above ---------------------------


def _translated(server: Server, text: str, grace_s: int | None) -> tuple[dict[str, Any], list[str]]:
    blocked = [f"{word!r} is not recognized" for word in server.rest]
    blocked += [
        f"{server.options[name].shown}: {_NEVER_DROPPED.get(why, why)}"
        for name, why in _NEVER_DROPPED.items()
        if name in server.options
    ]
    gunicorn = server.program == "gunicorn"
    options = _gunicorn(server, text, blocked) if gunicorn else _uwsgi(server, blocked)
    if grace_s is not None:
        options.setdefault("graceful_timeout", grace_s)
    unknown = server.unknown("raw_env", "env", "chdir", "pythonpath")
    blocked += [f"{each.shown} is computed in the configuration file" for each in unknown]
    options["environment"] = list(server.value("raw_env" if gunicorn else "env", []) or [])
    name = script_name(server, text)
    if name is not None:
        options["root_path"] = name
        kept = [each for each in options["environment"] if not each.startswith("SCRIPT_NAME=")]
        options["environment"] = kept
    folder = server.value("chdir") or server.value("pythonpath")
    if folder is not None and server.command is not None:
        options["app_dir"] = folder
    return options, blocked


def _gunicorn(server: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    options = {name: server.value(name) for name in _GUNICORN_SAME if name in server.options}
    options.update(_gunicorn_address(server, text, blocked))
    if "uds" in options and "forwarded_allow_ips" not in options:
        options["forwarded_allow_ips"] = "*"  # gunicorn trusts every client of its socket
    if str(options.get("loglevel", "")).isalpha():  # not a variable
        options["loglevel"] = str(options["loglevel"]).lower()
    return options


def _gunicorn_address(server: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    binds = server.value("bind")
    if binds is UNKNOWN:
        return {"host": UNKNOWN}
    if isinstance(binds, list) and len(binds) > 1:
        blocked.append("it binds to several addresses, and uvicorn listens on one")
    if binds:
        return _address(binds[0] if isinstance(binds, list) else str(binds), blocked)
    command = server.command
    if command is not None and command.kind == "systemd" and "gunicorn.socket" in text:
        return {"fd": "3"}  # systemd passes the socket as the first descriptor after stderr
    if command is not None and (command.kind == "procfile" or _is_set(text, "PORT")):
        if not _expands(command):
            blocked.append("it listens on $PORT, and no shell expands that")
        return {"host": "0.0.0.0", "port": "$PORT"}
    return {}  # 127.0.0.1:8000, as uvicorn


def _address(bind: str, blocked: list[str]) -> dict[str, Any]:
    bind = re.sub(r"^(tcp|http)://", "", bind)
    if bind.startswith("unix:"):
        return {"uds": re.sub(r"^unix:(//(?=/))?", "", bind)}
    if bind.startswith("fd://"):
        return {"fd": bind.removeprefix("fd://")}
    if bind.startswith("/") or (bind.endswith(".sock") and ":" not in bind):
        return {"uds": bind}
    if found := _HOST_AND_PORT.fullmatch(bind):
        return {"host": found.group(1).strip("[]") or "0.0.0.0", "port": found.group(2)}
    if re.fullmatch(r"[\w.-]+", bind):
        return {"host": bind, "port": "8000"}
    blocked.append(f"its address {bind} cannot be split into host and port")
    return {}


def _uwsgi(server: Server, blocked: list[str]) -> dict[str, Any]:
    same = {key: server.value(name) for name, key in _UWSGI_SAME.items() if name in server.options}
    if "reload" in same:
        same["reload"] = True
    if server.value("disable-logging") is True:
        same["no_access_log"] = True
    names = ("http", "http-socket", "socket")
    address = next((server.value(name) for name in names if name in server.options), None)
    if address is None:
        blocked.append("it names no address to listen on")
        return same
    if address is UNKNOWN:
        return {**same, "host": UNKNOWN}
    found = _address(str(address), blocked)
    if "uds" in found:
        found["forwarded_allow_ips"] = "*"
    return {**same, **found}


def _expands(command: StartCommand | None) -> bool:
    """Whether a shell expands variables: not in lists, nor for supervisor or systemd."""
    if command is None or command.form != "shell":
        return False
    return command.kind in ("procfile", "dockerfile", "shell")


def _is_set(text: str, variable: str) -> bool:
    """Whether a file mentions an environment variable."""
    return re.search(rf"\b{variable}\b", text) is not None


def _is_on_a_platform(server: Server, text: str) -> bool:
    """Whether ``WEB_CONCURRENCY`` sets the number of workers: hosting platforms set it."""
    is_procfile = server.command is not None and server.command.kind == "procfile"
    return server.program == "gunicorn" and (is_procfile or _is_set(text, "WEB_CONCURRENCY"))


def script_name(server: Server, text: str) -> str | None:
    """``SCRIPT_NAME`` from gunicorn's environment, or the mount point of uwsgi."""
    environment = server.value("raw_env") or []
    for each in environment if isinstance(environment, list) else []:
        if each.startswith("SCRIPT_NAME="):
            return str(each.partition("=")[2])
    mounts = server.value("mount") or []
    if isinstance(mounts, list) and len(mounts) == 1:
        path = str(mounts[0]).partition("=")[0]
        return path if path != "/" else None
    found = re.search(r"^[^#\n]*\bSCRIPT_NAME[\"']?\s*[=:]\s*[\"']?(/[\w./-]*)", text, re.MULTILINE)
    return found.group(1) if found and server.program == "gunicorn" else None

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
"""Options with nothing to translate: about the server's own workings, or said in other ways."""

_NEVER_DROPPED = {
    "user": "uvicorn cannot change to another user: start it as that user",
    "uid": "user",
    "group": "uvicorn cannot change to another group: start it in that group",
    "gid": "group",
    "umask": "set it before the server starts",
    "daemon": "uvicorn stays in the foreground",
    "daemonize": "daemon",
    "paste": "uvicorn reads no Paste files",
    "proxy_protocol": "uvicorn does not speak the PROXY protocol",
    "http_protocols": "it names other protocols than HTTP/1.1",
    "https": "give uvicorn --ssl-certfile and --ssl-keyfile",
    "emperor": "it starts others",
}
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
    """A command, or why there is none.

    :ivar argv: the program first, and ``/usr/bin/env NAME=value`` before it where it is needed.
    :ivar lost: options without counterpart, as they are written.
    :ivar blocked: what keeps the command from being written, each in a few words.
    """

    argv: tuple[str, ...]
    lost: tuple[str, ...]
    blocked: tuple[str, ...]


def uvicorn_command(asked: Server, app: str, text: str) -> CommandLine:
    """The command that serves an ASGI app.

    :param app: as ``mysite.asgi:application``.
    :param text: of the file that the command stands in: it may set variables.
    """
    wanted, blocked = _wanted(asked, text)
    if "root_path" in wanted:
        blocked.append(
            "SCRIPT_NAME: uvicorn expects a proxy to strip it from the path. Set "
            "FORCE_SCRIPT_NAME in the settings instead (X506)"
        )
    if asked.value("accesslog") is None and asked.program == "gunicorn":
        wanted["no_access_log"] = True
    return _line(asked, ["uvicorn", app], _UVICORN, wanted, blocked)


def bridge_command(asked: Server, app: str, text: str) -> CommandLine:
    """The command that serves a WSGI app, on uvicorn."""
    wanted, blocked = _wanted(asked, text)
    if not is_green(asked):
        wanted["threads"] = asked.value("threads", "1")
    if "workers" not in wanted and _expands(asked.command) and _is_on_a_platform(asked, text):
        wanted["workers"] = "${WEB_CONCURRENCY:-1}"  # gunicorn reads it; bridge run does not
    blocked += [f"bridge run has no option for {key}" for key in _ONLY_UVICORN if key in wanted]
    trusted = wanted.pop("forwarded_allow_ips", None)
    if isinstance(trusted, str):
        wanted["environment"] = [*wanted["environment"], f"FORWARDED_ALLOW_IPS={trusted}"]
    return _line(asked, ["bridge", "run", app, "--server", "uvicorn"], _BRIDGE, wanted, blocked)


def is_green(asked: Server) -> bool:
    """Whether it answers requests on green threads, of gevent or eventlet."""
    worker = str(asked.value("worker_class", ""))
    return "gevent" in worker or "eventlet" in worker or "gevent" in asked.options


def _line(
    asked: Server,
    start: list[str],
    flags: dict[str, str],
    wanted: dict[str, Any],
    blocked: list[str],
) -> CommandLine:
    environment = wanted.pop("environment")
    unknown = [key for key, value in wanted.items() if value is UNKNOWN]
    blocked += [f"{key} is computed in the configuration file" for key in unknown]
    words = list(start)
    for key, flag in flags.items():
        if key in wanted and key not in unknown:
            words += [flag] if wanted[key] is True else [flag, str(wanted[key])]
    prefix = ["/usr/bin/env", *environment] if environment else []
    return CommandLine((*prefix, *words), _lost(asked, flags), tuple(dict.fromkeys(blocked)))


def _lost(asked: Server, flags: dict[str, str]) -> tuple[str, ...]:
    said = {*HARMLESS, *_NEVER_DROPPED, "bind", "raw_env", "env", "accesslog", "chdir"}
    said |= {"pythonpath", "http", "http-socket", "socket", "disable-logging"}
    said |= {*flags, *(name for name, key in _UWSGI_SAME.items() if key in flags)}
    said |= {"forwarded_allow_ips"}
    if "threads" not in flags:
        said.discard("threads")
    lost = [option for name, option in asked.options.items() if name not in said]
    if asked.value("accesslog", "-") not in ("-", ""):
        lost.append(asked.options["accesslog"])
    to_stderr = [each for each in lost if each.name == "errorlog" and each.value == "-"]
    return tuple(each.shown for each in lost if each not in to_stderr)


# -- what is wanted, in names of our own -----------------------------------------------------------


def _wanted(asked: Server, text: str) -> tuple[dict[str, Any], list[str]]:
    blocked = [f"{word!r} is not understood" for word in asked.rest]
    blocked += [
        f"{asked.options[name].shown}: {_NEVER_DROPPED.get(why, why)}"
        for name, why in _NEVER_DROPPED.items()
        if name in asked.options
    ]
    gunicorn = asked.program == "gunicorn"
    wanted = _gunicorn(asked, text, blocked) if gunicorn else _uwsgi(asked, blocked)
    unknown = asked.unknown("raw_env", "env", "chdir", "pythonpath")
    blocked += [f"{each.shown} is computed in the configuration file" for each in unknown]
    wanted["environment"] = list(asked.value("raw_env" if gunicorn else "env", []) or [])
    name = script_name(asked, text)
    if name is not None:
        wanted["root_path"] = name
        kept = [each for each in wanted["environment"] if not each.startswith("SCRIPT_NAME=")]
        wanted["environment"] = kept
    folder = asked.value("chdir") or asked.value("pythonpath")
    if folder is not None and asked.command is not None:
        wanted["app_dir"] = folder
    return wanted, blocked


def _gunicorn(asked: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    wanted = {name: asked.value(name) for name in _GUNICORN_SAME if name in asked.options}
    wanted.update(_gunicorn_where(asked, text, blocked))
    if "uds" in wanted and "forwarded_allow_ips" not in wanted:
        wanted["forwarded_allow_ips"] = "*"  # gunicorn trusts whoever can connect to its socket
    if str(wanted.get("loglevel", "")).isalpha():  # no variable
        wanted["loglevel"] = str(wanted["loglevel"]).lower()
    return wanted


def _gunicorn_where(asked: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    binds = asked.value("bind")
    if binds is UNKNOWN:
        return {"host": UNKNOWN}
    if isinstance(binds, list) and len(binds) > 1:
        blocked.append("it binds to several addresses, and uvicorn listens on one")
    if binds:
        return _where(binds[0] if isinstance(binds, list) else str(binds), blocked)
    command = asked.command
    if command is not None and command.kind == "systemd" and "gunicorn.socket" in text:
        return {"fd": "3"}  # systemd hands the socket over as the first descriptor after stderr
    if command is not None and (command.kind == "procfile" or _is_set(text, "PORT")):
        if not _expands(command):
            blocked.append("it listens on $PORT, and no shell puts that in")
        return {"host": "0.0.0.0", "port": "$PORT"}
    return {}  # 127.0.0.1:8000, as uvicorn


def _where(bind: str, blocked: list[str]) -> dict[str, Any]:
    bind = re.sub(r"^(tcp|http)://", "", bind)
    if bind.startswith("unix:"):
        return {"uds": re.sub(r"^unix:(//(?=/))?", "", bind)}
    if bind.startswith("fd://"):
        return {"fd": bind.removeprefix("fd://")}
    if bind.startswith("/") or (bind.endswith(".sock") and ":" not in bind):
        return {"uds": bind}
    found = re.fullmatch(
        r"(\[[^\]]*\]|[^:\[\]{}]*|\$\{\w+\}):(\d+|\$\w+|\$\{[^}]+\}|%\(\w+\)s)", bind
    )
    if found:
        return {"host": found.group(1).strip("[]") or "0.0.0.0", "port": found.group(2)}
    if re.fullmatch(r"[\w.-]+", bind):
        return {"host": bind, "port": "8000"}
    blocked.append(f"where it listens, {bind}, is not told apart into host and port")
    return {}


def _uwsgi(asked: Server, blocked: list[str]) -> dict[str, Any]:
    same = {key: asked.value(name) for name, key in _UWSGI_SAME.items() if name in asked.options}
    if "reload" in same:
        same["reload"] = True
    if asked.value("disable-logging") is True:
        same["no_access_log"] = True
    where = next(
        (asked.value(name) for name in ("http", "http-socket", "socket") if name in asked.options),
        None,
    )
    if where is None:
        blocked.append("where it listens is not told")
        return same
    if where is UNKNOWN:
        return {**same, "host": UNKNOWN}
    found = _where(str(where), blocked)
    if "uds" in found:
        found["forwarded_allow_ips"] = "*"
    return {**same, **found}


def _expands(command: StartCommand | None) -> bool:
    """Whether a shell puts variables in: not into lists, nor for supervisor or systemd."""
    if command is None or command.form != "shell":
        return False
    return command.kind in ("procfile", "dockerfile", "shell")


def _is_set(text: str, variable: str) -> bool:
    """Whether a file speaks of an environment variable."""
    return re.search(rf"\b{variable}\b", text) is not None


def _is_on_a_platform(asked: Server, text: str) -> bool:
    """Whether ``WEB_CONCURRENCY`` says how many workers there are: platforms set it themselves."""
    is_procfile = asked.command is not None and asked.command.kind == "procfile"
    return asked.program == "gunicorn" and (is_procfile or _is_set(text, "WEB_CONCURRENCY"))


def script_name(asked: Server, text: str) -> str | None:
    """``SCRIPT_NAME`` as gunicorn gets it from its environment, or the mount point of uwsgi."""
    given = asked.value("raw_env") or []
    for each in given if isinstance(given, list) else []:
        if each.startswith("SCRIPT_NAME="):
            return str(each.partition("=")[2])
    mounts = asked.value("mount") or []
    if isinstance(mounts, list) and len(mounts) == 1:
        path = str(mounts[0]).partition("=")[0]
        return path if path != "/" else None
    found = re.search(r"^[^#\n]*\bSCRIPT_NAME[\"']?\s*[=:]\s*[\"']?(/[\w./-]*)", text, re.MULTILINE)
    return found.group(1) if found and asked.program == "gunicorn" else None

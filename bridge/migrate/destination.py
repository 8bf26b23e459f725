"""What becomes of one option in the new server: the table of options, and what that server has.

Input: an option and a :class:`Destination`. Output: its row, with the new option named. Pure.

The flags here are the ones that :mod:`~bridge.migrate.serving` writes: an option is carried over
only if it is in the new start command, or its file stays.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import Enum

from bridge.migrate.deploy.records import Option
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.tables.lookup import row_of
from bridge.migrate.deploy.tables.rows import LOG, Group, Row

__all__ = [
    "BRIDGE_FLAGS",
    "SERVER_SIGNALS",
    "UVICORN_FLAGS",
    "Destination",
    "row_for",
    "row_of_server",
]

UVICORN_FLAGS = {
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
BRIDGE_FLAGS = {
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
    "forwarded_allow_ips": "--trusted",
}


class Destination(Enum):
    """The server that the project moves to."""

    BRIDGE_RUN = "bridge run"
    """A WSGI app on uvicorn, in worker threads."""
    DJANGO_BRIDGE = "uvicorn"
    """Django on uvicorn, through the application of `bridge`, which has the threads."""
    DJANGO_NATIVE = "uvicorn, with Django's own handler"


_WITHOUT_FLAG = {
    "app": "",
    "callable": "",
    "config": "",
    "protocol": "",
    "home": "",
    "accesslog": "",
    "bind": "--host and --port, --uds or --fd",
    "environment": "/usr/bin/env NAME=value",
}
"""What the new command has without an option of that name."""
_DJANGO_THREADS = "get_asgi_application(threads=...) of bridge.contrib.django"
_TLS = ("certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers")
_INSTEAD = {
    "max_requests": "let the supervisor limit the memory, and restart the server",
    "max_requests_jitter": "let the supervisor limit the memory, and restart the server",
    "backlog": "check that 2048 waiting connections are enough",
    "keepalive": "check that 5 seconds are enough for the proxy",
    "no_access_log": "run bridge with --log-level warning",
    "root_path": "set FORCE_SCRIPT_NAME in the settings (X506)",
    **dict.fromkeys(_TLS, "let the proxy end TLS, or use uvicorn with an ASGI app"),
}
_LOGS = frozenset({"accesslog", "errorlog", "logto", "syslog"})
_OFF = frozenset({"0", "false", "False", "no", "none", "None", ""})
_OFF_ROW = Row("", Group.NOT_NEEDED, "it is off")


def row_of_server(server: Server, option: Option, destination: Destination) -> Row:
    """What becomes of an option of a server, whose other options may matter."""
    if server.program == "gunicorn" and option.name == "timeout" and _has_threads(server):
        return _HEARTBEAT
    if option.name == "WSGIImportScript" and _is_of_app(server, option):
        return _IMPORTED_AT_START
    is_for_threads = option.name in ("keepalive", "worker_connections")
    if server.program == "gunicorn" and is_for_threads and not _has_threads(server):
        return _WITHOUT_THREADS
    return row_for(option, destination)


_HEARTBEAT = Row(
    "timeout",
    Group.NOT_NEEDED,
    "with threads it is the heartbeat of a worker, and ends no request in gunicorn, either",
)


_IMPORTED_AT_START = Row("hook", Group.NOT_NEEDED, "uvicorn imports the app when it starts, too")


def _is_of_app(server: Server, option: Option) -> bool:
    """Whether ``WSGIImportScript`` names the script of the app, to import it at the start."""
    alias = server.default("WSGIScriptAlias")
    return isinstance(alias, str) and alias.split()[-1:] == str(option.default).split()[-1:]


_WITHOUT_THREADS = Row(
    "timeout", Group.NOT_NEEDED, "sync workers of gunicorn answer one request for each connection"
)


def _has_threads(server: Server) -> bool:
    """Whether the worker of gunicorn serves several connections, and never waits for a request."""
    threads = server.default("threads", "1")
    worker = str(server.default("worker_class", "sync"))
    has_threads = not isinstance(threads, str) or not threads.isdigit() or int(threads) > 1
    return worker != "sync" or has_threads


def row_for(option: Option, destination: Destination) -> Row:
    """What becomes of an option in this move."""
    row = row_of(option)
    if option.name in _LOGS and "-" in (option.value, option.default):
        return Row(row.topic, Group.CARRIED, "uvicorn logs to stdout and stderr")
    if option.name == "accesslog" and option.value not in ("", None):
        return LOG
    if option.name in _SUPERVISION and _is_plain(option):
        return Row(row.topic, Group.CARRIED, "it stays where it is")
    if option.name == "worker_class" and re.search("gevent|eventlet", str(option.default)):
        return Row("threads", Group.CARRIED, "worker threads, instead of green ones (F703)")
    if option.name in _HEAD_LIMITS and _is_at_most(option, 65536):
        return Row(row.topic, Group.NOT_NEEDED, "uvicorn accepts a head of that size")
    if option.name == "http-keepalive" and not str(option.default).isdigit():
        return Row(row.topic, Group.NOT_NEEDED, "uvicorn keeps connections open anyway")
    if option.name == "post-buffering" and destination is not Destination.DJANGO_NATIVE:
        return Row(
            row.topic,
            Group.NOT_NEEDED,
            "bridge reads 64 KiB of a body before it takes a thread (buffer_request_bytes)",
        )
    if row.group is Group.BY_HAND and _is_off(option):
        return replace(_OFF_ROW, topic=row.topic)
    if row.group is not Group.CARRIED or not row.key:
        return row
    flag = _flag(row.key, destination)
    if flag is None:
        return _without(row, option, destination)
    to = f"{destination.value.partition(',')[0]} {flag}" if flag.startswith("--") else flag
    return replace(row, why="; ".join(each for each in (to, row.why) if each))


_HEAD_LIMITS = frozenset({"buffer-size", "http-buffer-size"})


def _is_at_most(option: Option, number: int) -> bool:
    value = str(option.default)
    return value.isdigit() and int(value) <= number


def _is_plain(option: Option) -> bool:
    """Whether uvicorn works with this type of unit, or ends gracefully on this signal."""
    return str(option.value).upper().removeprefix("SIG") in _SUPERVISION[option.name]


_SIGNALS = ("TERM", "INT", "2", "15")
SERVER_SIGNALS = ("KillSignal", "stopsignal", "STOPSIGNAL", "stop_signal")
"""The directives that set the signal on which a process stops."""
_SUPERVISION = {
    "Type": ("SIMPLE", "EXEC", "IDLE"),
    **dict.fromkeys(SERVER_SIGNALS, _SIGNALS),
}
"""Directives that are about the server, by the values that suit uvicorn as well."""


def _is_off(option: Option) -> bool:
    return option.value is False or (isinstance(option.value, str) and option.value in _OFF)


def _flag(key: str, destination: Destination) -> str | None:
    if key in _WITHOUT_FLAG:
        return _WITHOUT_FLAG[key]
    if destination is Destination.BRIDGE_RUN:
        return BRIDGE_FLAGS.get(key)
    if key == "threads" and destination is Destination.DJANGO_BRIDGE:
        return _DJANGO_THREADS
    return UVICORN_FLAGS.get(key)


def _without(row: Row, option: Option, destination: Destination) -> Row:
    if row.key == "backlog" and option.default == "2048":
        return replace(row, group=Group.NOT_NEEDED, why="it is the default of uvicorn")
    if row.key == "threads" and option.default in ("0", "1"):
        return replace(row, group=Group.NOT_NEEDED, why="uvicorn has no threads")
    if row.key == "threads":
        return replace(
            row,
            group=Group.BY_HAND,
            why="Django runs the sync code of each request on a separate thread, without a limit",
            instead="calculate the database connections again (D302)",
        )
    return replace(
        row,
        group=Group.BY_HAND,
        why=f"{destination.value.partition(',')[0]} has no such option",
        instead=_INSTEAD[row.key],
        stops=row.key in _TLS,
    )

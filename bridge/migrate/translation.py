"""The options of the old server as those of the new one, under the names of its flags.

Input: a :class:`~bridge.migrate.deploy.server.Server`. Output: the values by the keys of
:data:`~bridge.migrate.destination.UVICORN_FLAGS`, and the reasons why some cannot be written. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from bridge.migrate.deploy.records import StartCommand
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.tables.lookup import row_of
from bridge.migrate.literals import UNKNOWN

__all__ = ["expands", "is_on_a_platform", "script_name", "translated"]

_GUNICORN_SAME = (
    *("workers", "loglevel", "keepalive", "backlog", "graceful_timeout", "max_requests"),
    *("max_requests_jitter", "forwarded_allow_ips", "certfile", "keyfile", "ca_certs"),
    *("cert_reqs", "ciphers", "reload"),
)
_UWSGI_SAME = {
    "processes": "workers",
    "listen": "backlog",
    "max-requests": "max_requests",
    "max-requests-delta": "max_requests_jitter",
    "py-autoreload": "reload",
}


_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]{}]*|\$\{\w+\}):(\d+|\$\w+|\$\{[^}]+\}|%\(\w+\)s)")
_SAME = {
    "waitress-serve": {
        "backlog": "backlog",
        "url-prefix": "root_path",
        "trusted-proxy": "forwarded_allow_ips",
    },
    "mod_wsgi-express": {
        "processes": "workers",
        "maximum-requests": "max_requests",
        "graceful-timeout": "graceful_timeout",
        "shutdown-timeout": "graceful_timeout",
        "keep-alive-timeout": "keepalive",
        "server-backlog": "backlog",
        "reload-on-changes": "reload",
        "log-level": "loglevel",
        "working-directory": "app_dir",
        "python-path": "app_dir",
    },
    "mod_wsgi": {
        "WSGIDaemonProcess+processes": "workers",
        "WSGIDaemonProcess+maximum-requests": "max_requests",
        "WSGIDaemonProcess+listen-backlog": "backlog",
        "ListenBacklog": "backlog",
        "WSGIDaemonProcess+graceful-timeout": "graceful_timeout",
        "WSGIDaemonProcess+shutdown-timeout": "graceful_timeout",
        "WSGIDaemonProcess+home": "app_dir",
        "WSGIDaemonProcess+python-path": "app_dir",
        "WSGIPythonPath": "app_dir",
        "KeepAliveTimeout": "keepalive",
    },
    "passenger": {
        "max_pool_size": "workers",
        "max_requests": "max_requests",
        "app_root": "app_dir",
    },
}


def translated(server: Server, text: str) -> tuple[dict[str, Any], list[str]]:
    """The options of the new server, and why some cannot be written.

    :param text: of the file that contains the command: it may set variables.
    """
    blocked: list[str] = []
    gunicorn = server.program == "gunicorn"
    options = _READERS.get(server.program, _other)(server, text, blocked)
    blocked += _conditional(server)
    unknown = server.unknown("raw_env", "env", "chdir", "pythonpath")
    blocked += [f"{each.shown} is computed in the configuration file" for each in unknown]
    options["environment"] = list(server.value("raw_env" if gunicorn else "env", []) or [])
    name = script_name(server, text)
    if name is not None:
        options["root_path"] = name
        kept = [each for each in options["environment"] if not each.startswith("SCRIPT_NAME=")]
        options["environment"] = kept
    folder = server.value("chdir") or server.value("pythonpath")
    if folder is not None:
        options["app_dir"] = folder
    folders = _folders(server)
    if len(folders) > 1:
        blocked.append(f"it imports from {', '.join(folders)}, and --app-dir takes one folder")
    return options, blocked


def _folders(server: Server) -> list[str]:
    """The folders to import from, in the default case: what is carried over as ``--app-dir``."""
    start = str(server.default("chdir") or "")
    written = [
        str(option.default)
        for option in server.written
        if row_of(option).key == "app_dir" and option.applies is not False and option.default
    ]
    split = (folder for each in written for folder in re.split("[:,]", each))
    return list(dict.fromkeys(posixpath.normpath(posixpath.join(start, each)) for each in split))


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
        return _address(_first(binds), blocked, _first(server.default("bind")))
    command = server.command
    if command is not None and command.kind == "systemd" and "gunicorn.socket" in text:
        return {"fd": "3"}  # systemd passes the socket as the first descriptor after stderr
    if command is not None and (command.kind == "procfile" or _is_set(text, "PORT")):
        if not expands(command):
            blocked.append("it listens on $PORT, and no shell expands that")
        return {"host": "0.0.0.0", "port": "$PORT"}
    return {}  # 127.0.0.1:8000, as uvicorn


def _address(bind: str, blocked: list[str], default: str = "") -> dict[str, Any]:
    """The options for an address.

    :param default: the address in the default case, if it is known and ``bind`` has variables: the
        proposal has it where the variables cannot be split into host and port.
    """
    bind = re.sub(r"^(tcp|http)://", "", bind)
    if bind.startswith("unix:"):
        return {"uds": re.sub(r"^unix:(//(?=/))?", "", bind)}
    if bind.startswith("fd://"):
        return {"fd": bind.removeprefix("fd://")}
    if bind.startswith("/") or (bind.endswith(".sock") and ":" not in bind):
        return {"uds": bind}
    if found := _HOST_AND_PORT.fullmatch(bind):
        if found.group(1).startswith("$") and default.startswith("["):
            blocked.append(
                f"{found.group(1)} is {default.rpartition(':')[0]} by default: uvicorn's --host is "
                "without brackets"
            )
        return {"host": found.group(1).strip("[]") or "0.0.0.0", "port": found.group(2)}
    if re.fullmatch(r"[\w.-]+", bind):
        return {"host": bind, "port": "8000"}
    blocked.append(f"its address {bind} cannot be split into host and port")
    return _address(default, []) if default not in ("", bind) and "$" not in default else {}


def _first(value: Any) -> str:
    """The first address of a list, or the only one; empty if it is not known."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else ""


def _uwsgi(server: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    same = {key: server.value(name) for name, key in _UWSGI_SAME.items() if name in server.options}
    keep_alive = server.value("http-keepalive")
    if isinstance(keep_alive, str) and keep_alive.isdigit():
        same["keepalive"] = keep_alive
    if "reload" in same:
        same["reload"] = True
    if server.value("disable-logging") is True:
        same["no_access_log"] = True
    names = ("http", "http-socket", "socket")
    addresses = [
        each for each in server.written if each.name in names and each.applies is not False
    ]
    if len(addresses) > 1:
        blocked.append("it listens on several addresses, and uvicorn on one")
    address = next((server.value(name) for name in names if name in server.options), None)
    if address is None:
        blocked.append("it names no address to listen on")
        return same
    if address is UNKNOWN:
        return {**same, "host": UNKNOWN}
    default = next((server.default(name) for name in names if name in server.options), None)
    found = _address(str(address), blocked, _first(default))
    if "uds" in found:
        found["forwarded_allow_ips"] = "*"
    return {**same, **found}


def _other(server: Server, text: str, blocked: list[str]) -> dict[str, Any]:
    """waitress, mod_wsgi and Passenger: the address is that of the command, if it has one."""
    names = _SAME[server.program]
    options = {key: server.value(name) for name, key in names.items() if name in server.options}
    for name in ("listen", "unix-socket", "socket_file"):
        if isinstance(server.value(name), str):
            return {**options, **_address(server.value(name).replace("*:", "0.0.0.0:"), blocked)}
    host, port = server.value("host", server.value("address")), server.value("port")
    if port is not None:
        options["port"] = port
    return {**options, "host": host} if host is not None else options


def _conditional(server: Server) -> Iterator[str]:
    """The values of configuration files that depend on something: asked for, not guessed."""
    for option in server.options.values():
        is_in_file = server.config is not None and option.path == server.config
        key = row_of(option).key
        if is_in_file and option.condition and key and option.applies is not False:
            default = "not known" if option.default is None else option.default
            yield f"{option.shown} depends on {option.condition} (by default: {default})"


_READERS = {"gunicorn": _gunicorn, "uwsgi": _uwsgi}


def expands(command: StartCommand | None) -> bool:
    """Whether a shell expands variables: not in lists, nor for supervisor or systemd."""
    if command is None or command.form != "shell":
        return False
    return command.kind in ("procfile", "dockerfile", "shell")


def _is_set(text: str, variable: str) -> bool:
    """Whether a file mentions an environment variable."""
    return re.search(rf"\b{variable}\b", text) is not None


def is_on_a_platform(server: Server, text: str) -> bool:
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

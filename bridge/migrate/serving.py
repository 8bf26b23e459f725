"""Translates the options of gunicorn and uwsgi into a command line of uvicorn or ``bridge run``.

Input: a :class:`~bridge.migrate.deploy.server.Server`. Output: a :class:`CommandLine`: the command,
the options without a counterpart, and the reasons why no command can be written. Pure.

``uvicorn`` serves an ASGI app; ``bridge run`` serves a WSGI app on uvicorn, in worker threads. A
computed value, or an option that protects the server (``--user``), is never dropped: it blocks the
command.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from bridge.migrate.deploy.records import Option
from bridge.migrate.deploy.server import Server
from bridge.migrate.deploy.tables.rows import Group, Row
from bridge.migrate.destination import BRIDGE_FLAGS, UVICORN_FLAGS, Destination, row_of_server
from bridge.migrate.literals import UNKNOWN
from bridge.migrate.translation import expands, is_on_a_platform, translated

__all__ = [
    "CommandLine",
    "bridge_command",
    "is_green",
    "uvicorn_command",
]

_ONLY_UVICORN = ("fd", "certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers")


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


_THIS_HOST = "127.0.0.1,::1"
_LOCAL = ("127.0.0.1", "localhost", "::1")
_EVERYBODY = "0.0.0.0/0,::/0"


def uvicorn_command(
    server: Server,
    app: str,
    text: str,
    destination: Destination = Destination.DJANGO_BRIDGE,
    accepted: Collection[str] = (),
    *,
    grace_s: int | None = None,
) -> CommandLine:
    """The command that serves an ASGI app.

    :param app: as ``mysite.asgi:application``.
    :param text: of the file that contains the command: it may set variables.
    :param accepted: the options without a counterpart that may be dropped, as written.
    :param grace_s: seconds that open responses get at shutdown, if the server sets none.
    """
    options, blocked = _options(server, text, accepted, grace_s)
    blocked = [*_stopped(server, destination, accepted), *blocked]
    if "root_path" in options:
        blocked.append(
            "SCRIPT_NAME: uvicorn expects a proxy to strip it from the path. Set "
            "FORCE_SCRIPT_NAME in the settings instead (X506)"
        )
    if server.value("accesslog") is None and server.program == "gunicorn":
        options["no_access_log"] = True
    return _command_line(server, ["uvicorn", app], destination, options, blocked)


def bridge_command(
    server: Server,
    app: str,
    text: str,
    accepted: Collection[str] = (),
    *,
    threads: int | str | None = None,
    grace_s: int | None = None,
) -> CommandLine:
    """The command that serves a WSGI app on uvicorn; see :func:`uvicorn_command`.

    :param threads: of each process; None for the default of ``bridge run``.
    """
    options, blocked = _options(server, text, accepted, grace_s)
    blocked = [*_stopped(server, Destination.BRIDGE_RUN, accepted), *blocked]
    if threads is not None:
        options["threads"] = threads
    if "workers" not in options and expands(server.command) and is_on_a_platform(server, text):
        options["workers"] = "${WEB_CONCURRENCY:-1}"  # gunicorn reads it; bridge run does not
    blocked += [f"bridge run has no option for {key}" for key in _ONLY_UVICORN if key in options]
    trusted = _trusted(server, options)
    if trusted:
        options["forwarded_allow_ips"] = trusted
    start = ["bridge", "run", app, "--server", "uvicorn"]
    return _command_line(server, start, Destination.BRIDGE_RUN, options, blocked)


def _trusted(server: Server, options: dict[str, Any]) -> Any:
    """The value of ``--trusted``; None: nobody is, as by default.

    gunicorn trusts this host by default. That matters where only this host can connect; elsewhere
    the headers of other proxies, which an app may read by itself, would be removed.
    """
    trusted = options.get("forwarded_allow_ips")
    if trusted is None and server.program == "gunicorn" and options.get("host") in _LOCAL:
        return _THIS_HOST
    if trusted == "*":
        return "unix" if "uds" in options else _EVERYBODY
    return trusted


def is_green(server: Server) -> bool:
    """Whether it serves requests on green threads, of gevent or eventlet."""
    worker = str(server.default("worker_class", ""))
    return "gevent" in worker or "eventlet" in worker or "gevent" in server.options


def _command_line(
    server: Server,
    start: list[str],
    destination: Destination,
    options: dict[str, Any],
    blocked: list[str],
) -> CommandLine:
    environment = options.pop("environment")
    unknown = [key for key, value in options.items() if value is UNKNOWN]
    blocked += [f"{key} is computed in the configuration file" for key in unknown]
    argv = list(start)
    flags = BRIDGE_FLAGS if destination is Destination.BRIDGE_RUN else UVICORN_FLAGS
    for key, flag in flags.items():
        if key in options and key not in unknown:
            argv += [flag] if options[key] is True else [flag, str(options[key])]
    prefix = ["/usr/bin/env", *environment] if environment else []
    return CommandLine((*prefix, *argv), _lost(server, destination), tuple(dict.fromkeys(blocked)))


def _rows(server: Server, destination: Destination) -> Iterator[tuple[Option, Row]]:
    """What becomes of each option that applies, as often as it is written."""
    for option in server.written:
        if option.applies is not False:
            yield option, row_of_server(server, option, destination)


def _lost(server: Server, destination: Destination) -> tuple[str, ...]:
    """The options without a counterpart that the command can do without."""
    lost = [
        option.shown
        for option, row in _rows(server, destination)
        if row.group is Group.BY_HAND and not row.stops
    ]
    return tuple(dict.fromkeys(lost))


def _stopped(server: Server, destination: Destination, accepted: Collection[str]) -> Iterator[str]:
    """The options without which something stops working, except those that are accepted."""
    for option, row in _rows(server, destination):
        if row.stops and option.shown.lstrip("-") not in accepted:
            yield f"{option.shown}: {row.why}"
    for word in server.rest:
        if word not in accepted:
            yield f"{word!r} is not recognized"


def _options(
    server: Server, text: str, accepted: Collection[str], grace_s: int | None
) -> tuple[dict[str, Any], list[str]]:
    options, blocked = translated(server, text)
    if grace_s is not None:
        options.setdefault("graceful_timeout", grace_s)
    return options, [each for each in blocked if each.partition(" ")[0] not in accepted]

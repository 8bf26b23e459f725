"""The parsed command line of ``bridge run``: the requested apps and the options. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from bridge._http.paths import shown
from bridge._observe.observe import AccessLogFormat, ObserveKeywords
from bridge.cli.path_limits import read_limits
from bridge.config import ToAsgiOptions
from bridge.errors import BridgeError
from bridge.types import Interface

__all__ = [
    "DEFAULT_GRACE_S",
    "DEFAULT_QUEUE_TIMEOUT_S",
    "DEFAULT_REQUEST_TIMEOUT_S",
    "DEFAULT_THREADS",
    "AccessLogMode",
    "LogLevel",
    "RequestedApp",
    "RunOptions",
    "UsageError",
    "WsgiOptions",
]

DEFAULT_GRACE_S = 10
DEFAULT_THREADS = 40
DEFAULT_REQUEST_TIMEOUT_S = 60
"""How long nginx waits for the next byte of a response, by default (``proxy_read_timeout``)."""
DEFAULT_QUEUE_TIMEOUT_S = 30
"""Half of that: what has waited for longer could hardly be answered in time."""
_DEFAULTS = ToAsgiOptions()


class UsageError(BridgeError):
    """The command line cannot be executed. The message names the option and the alternatives."""


class LogLevel(StrEnum):
    """The log levels that every server supports."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


class AccessLogMode(StrEnum):
    """The access logs of bridge, the same on every server."""

    TEXT = "text"
    JSON = "json"
    OFF = "off"


_FORMATS: Mapping[AccessLogMode | None, AccessLogFormat] = {
    AccessLogMode.TEXT: "text",
    AccessLogMode.JSON: "json",
}


@dataclass(frozen=True, kw_only=True)
class RequestedApp:
    """One app of the command line.

    :ivar prefix: a normal prefix; None if none was given.
    :ivar target: what to load, see :mod:`bridge.cli.load.target`.
    :ivar websocket: whether it is for WebSocket connections only.
    :ivar interface: as given by ``--interface``; None to detect it.
    """

    prefix: str | None
    target: str
    websocket: bool = False
    interface: Interface | None = None

    @property
    def mount_path(self) -> str:
        """The prefix as users write it: ``/`` for the root, and where none was given."""
        return shown(self.prefix or "")


@dataclass(frozen=True, kw_only=True)
class WsgiOptions:
    """How WSGI apps run on an ASGI server, in each worker. See :class:`~bridge.WsgiToAsgi`.

    :ivar wait_target_s: 0: none.
    :ivar queue_timeout_s: 0: none.
    :ivar request_timeout_s: 0: none. Also for ASGI apps on a WSGI server.
    :ivar loop_lag_target_s: 0: none.
    :ivar limits: as they are typed.
    :ivar reserved: likewise.
    :ivar body_timeout_s: 0: none.
    """

    threads: int = DEFAULT_THREADS
    queue_timeout_s: float = DEFAULT_QUEUE_TIMEOUT_S
    request_timeout_s: float = DEFAULT_REQUEST_TIMEOUT_S
    wait_target_s: float = _DEFAULTS.wait_target_s or 0
    loop_lag_target_s: float = _DEFAULTS.loop_lag_target_s or 0
    limits: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    buffer_request_bytes: int = _DEFAULTS.buffer_request_bytes
    body_timeout_s: float = _DEFAULTS.body_timeout_s or 0
    spool_bytes: int = _DEFAULTS.spool_bytes

    @property
    def keywords(self) -> dict[str, Any]:
        """These options as those of the adapter.

        :raises ConfigError: a limit cannot be read.
        """
        return {
            "threads": self.threads,
            "wait_target_s": self.wait_target_s or None,
            "queue_timeout_s": self.queue_timeout_s or None,
            "request_timeout_s": self.request_timeout_s or None,
            "loop_lag_target_s": self.loop_lag_target_s or None,
            "limits": read_limits(self.limits, self.reserved) or None,
            "buffer_request_bytes": self.buffer_request_bytes,
            "body_timeout_s": self.body_timeout_s or None,
            "spool_bytes": self.spool_bytes,
        }


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of ``bridge run``. None where an option was not given.

    :ivar apps: the requested apps.
    :ivar fd: the descriptor of a socket that listens already. Then ``host`` and ``port``, or
        ``uds``, are its address.
    :ivar wait_target_s: 0: none.
    :ivar queue_timeout_s: 0: none.
    :ivar request_timeout_s: 0: none.
    :ivar loop_lag_target_s: 0: none.
    :ivar limits: as they are typed, and so are ``reserved``.
    :ivar body_timeout_s: 0: none.
    :ivar access_log: in place of the server's own; None to leave that as it is.
    :ivar metrics: ``HOST:PORT`` where scrapes of Prometheus are answered.
    :ivar grace_s: seconds that open requests get to finish after SIGTERM or Ctrl-C.
    :ivar drain_s: seconds from SIGTERM until the server begins to stop.
    :ivar max_requests: how many requests a worker serves before it is replaced.
    :ivar max_requests_jitter: at most so many more; a random number for each worker.
    :ivar healthz: the path below which bridge answers health checks.
    :ivar trusted: the peers whose proxy headers are believed: addresses, networks, ``unix``.
    :ivar proxy_headers: the headers that they set; empty for the default.
    :ivar app_dir: where modules are imported from; None for the current directory.
    :ivar control: the folder for control sockets; empty for the default one, None for no sockets.
    :ivar watched: the folders to watch when reloading; empty for the current directory alone.
    """

    apps: tuple[RequestedApp, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    fd: int | None = None
    workers: int = 1
    threads: int | None = None
    wait_target_s: float | None = None
    queue_timeout_s: float | None = None
    request_timeout_s: float | None = None
    loop_lag_target_s: float | None = None
    limits: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    buffer_request_bytes: int | None = None
    body_timeout_s: float | None = None
    spool_bytes: int | None = None
    reload: bool = False
    root_path: str = ""
    log_level: LogLevel = LogLevel.INFO
    access_log: AccessLogMode | None = None
    request_id: bool = False
    request_start: bool = False
    server_timing: bool = False
    metrics: str | None = None
    grace_s: int = DEFAULT_GRACE_S
    drain_s: float = 0
    max_requests: int | None = None
    max_requests_jitter: int = 0
    healthz: str | None = None
    trusted: tuple[str, ...] = ()
    proxy_headers: tuple[str, ...] = ()
    app_dir: Path | None = None
    control: str | None = None
    watched: tuple[Path, ...] = ()

    @property
    def thread_count(self) -> int:
        """How many threads run WSGI code in each worker, the default included."""
        return DEFAULT_THREADS if self.threads is None else self.threads

    @property
    def given_for_wsgi(self) -> dict[str, object]:
        """What was given for WSGI apps on ASGI servers, by the option as it is typed."""
        return {
            "--threads": self.threads,
            "--wait-target-s": self.wait_target_s,
            "--queue-timeout-s": self.queue_timeout_s,
            "--loop-lag-target-s": self.loop_lag_target_s,
            "--limit": self.limits or None,
            "--reserve": self.reserved or None,
            "--buffer-request-bytes": self.buffer_request_bytes,
            "--body-timeout-s": self.body_timeout_s,
            "--spool-bytes": self.spool_bytes,
        }

    @property
    def wsgi(self) -> WsgiOptions:
        """The options of the adapters, the defaults included."""
        names = [field.name for field in fields(WsgiOptions)]
        given = {name: getattr(self, name) for name in names}
        return WsgiOptions(**{name: value for name, value in given.items() if value is not None})

    @property
    def is_single_process(self) -> bool:
        """Whether one process is enough: no further workers, no reloader."""
        return self.workers == 1 and not self.reload

    @property
    def announces_stop(self) -> bool:
        """Whether SIGTERM is announced before the server stops."""
        return self.healthz is not None or self.drain_s > 0

    @property
    def logs_requests(self) -> bool:
        """Whether the server logs each request."""
        return self.access_log is None and self.log_level in (LogLevel.INFO, LogLevel.DEBUG)

    @property
    def observe(self) -> ObserveKeywords:
        """The options of :func:`bridge.observe`; empty if there is nothing to observe."""
        options: ObserveKeywords = {
            "access_log": _FORMATS.get(self.access_log),
            "request_id": self.request_id,
            "request_start": self.request_start,
            "server_timing": self.server_timing,
        }
        return options if any(options.values()) else {}

    @property
    def server_dependent(self) -> set[str]:
        """The given options that not every server supports, as they are typed."""
        is_given = {
            "--workers": self.workers > 1,
            "--reload": self.reload,
            "--max-requests": self.max_requests is not None,
            "--fd of a Unix socket": self.fd is not None and self.uds is not None,
        }
        return {option for option, given in is_given.items() if given}

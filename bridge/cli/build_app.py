"""Builds the app that a server imports: the user's app, adapted to that server.

Input: an :class:`AppSpec`, which ``bridge run`` stores in the environment, so that it reaches the
server's workers however they are started. Output: an app of the server's interface, below
``--root-path``. Runs where the server imports its app: on the main thread, before its event loop.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from asgiref.sync import iscoroutinefunction

from bridge._observe.observe import ObserveKeywords
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.cli.access_log import observe_served
from bridge.cli.control.spec import ControlSpec
from bridge.cli.drain import listen_for_stop
from bridge.cli.healthz import Health, healthz_asgi, healthz_wsgi
from bridge.cli.metrics import MetricsSpec, measured, publish
from bridge.cli.options import RequestedApp, WsgiOptions
from bridge.cli.proxies import Proxies, behind_proxies_asgi, behind_proxies_wsgi
from bridge.cli.replacement import RequestLimit, counted_asgi
from bridge.cli.root_path import mount_asgi, mount_wsgi
from bridge.cli.served_apps import ServedApps, load_apps
from bridge.cli.server_log import escape_lines
from bridge.cli.servers.registry import SERVERS
from bridge.cli.servers.spec import ServerSpec
from bridge.cli.shutdown import EXIT_S, exit_after_lifespan
from bridge.router.router import universal
from bridge.types import AsgiApp, Receive, Scope, Send
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["AppSpec", "adapt", "build_app", "plain_asgi"]

_VARIABLE = "BRIDGE_RUN"


@dataclass(frozen=True, kw_only=True)
class AppSpec:
    """What to load, and how to adapt it.

    :ivar apps: a single app without a prefix is served alone, others are mounted in a Router.
    :ivar server: the server's name.
    :ivar wsgi: how WSGI apps run on an ASGI server, and how long ASGI apps may take on a WSGI one.
    :ivar root_path: where the app is mounted, such as ``/shop``; may be empty.
    :ivar grace_s: seconds that the adapter's shutdown may take.
    :ivar control: where each process opens its control socket; None: nowhere.
    :ivar observe: options of :func:`bridge.observe`; empty: the requests are not observed.
    :ivar metrics: where each process answers scrapes; None if it does not.
    :ivar proxies: which proxies are trusted.
    :ivar healthz: the path below which health checks are answered.
    :ivar max_requests: how many requests a worker serves; 0 for no limit.
    :ivar max_requests_jitter: at most so many more.
    """

    apps: tuple[RequestedApp, ...]
    server: str
    app_dir: str | None
    wsgi: WsgiOptions
    root_path: str
    grace_s: int
    log_level: str
    control: ControlSpec | None = None
    observe: ObserveKeywords
    metrics: MetricsSpec | None = None
    proxies: Proxies = field(default_factory=Proxies)
    healthz: str | None = None
    max_requests: int = 0
    max_requests_jitter: int = 0

    def to_environment(self) -> None:
        """Store it for this process and its children."""
        os.environ[_VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> AppSpec:
        """Read what ``bridge run`` has stored.

        :raises RuntimeError: this process was not started by ``bridge run``.
        """
        if _VARIABLE not in os.environ:
            raise RuntimeError(
                "bridge.cli.served:app can only be imported by a server that `bridge run` starts"
            )
        stored = json.loads(os.environ[_VARIABLE])
        stored["apps"] = tuple(RequestedApp(**each) for each in stored["apps"])
        wsgi: dict[str, Any] = stored["wsgi"]
        for name in ("limits", "reserved"):
            wsgi[name] = tuple(wsgi[name])
        stored["wsgi"] = WsgiOptions(**wsgi)
        if stored["control"] is not None:
            stored["control"] = ControlSpec(**stored["control"])
        if stored["metrics"] is not None:
            stored["metrics"] = MetricsSpec(**stored["metrics"])
        stored["proxies"] = Proxies(**stored["proxies"])
        return cls(**stored)

    def load(self) -> ServedApps:
        """The loaded apps. See :func:`~bridge.cli.served_apps.load_apps`."""
        return load_apps(self.apps, self.app_dir, self.wsgi, self.grace_s)


def build_app(spec: AppSpec) -> Any:
    """The app to serve.

    :raises AppLoadError: see :func:`bridge.cli.load.target.load`.
    :raises AmbiguousApp: see :func:`bridge.interface_of`.
    """
    _show_log(spec.log_level)
    server = SERVERS[spec.server]
    if server.raw_logger is not None:
        escape_lines(server.raw_logger)
    app = adapt(spec.load(), spec, server)
    health = Health(app, sends_lifespan=not server.ignores_lifespan)
    if spec.metrics is not None:
        app = measured(app, server.interface, spec.metrics)
    if spec.healthz is not None:
        listen_for_stop()
    if spec.observe:
        app = observe_served(app, server.interface, spec.observe)
    if server.interface == "wsgi":
        wsgi = mount_wsgi(app, spec.root_path)
        wsgi = wsgi if spec.control is None else spec.control.watched_wsgi(wsgi)
        wsgi = behind_proxies_wsgi(wsgi, spec.proxies)
        return healthz_wsgi(wsgi, spec.healthz, health)
    asgi = mount_asgi(plain_asgi(app), spec.root_path)
    asgi = asgi if spec.control is None else spec.control.watched_asgi(asgi)
    asgi = behind_proxies_asgi(asgi, spec.proxies)
    asgi = healthz_asgi(asgi, spec.healthz, health)
    limit = RequestLimit(spec.max_requests, spec.max_requests_jitter)
    asgi = counted_asgi(asgi, limit, server.end_worker)
    # The lifespan shutdown gets the grace period a second time, and the exit a little more.
    at_end = [] if spec.metrics is None else [publish]
    exiting = exit_after_lifespan(asgi, spec.grace_s + EXIT_S, at_end)
    return server.make_graceful(exiting, spec.grace_s)


def adapt(served: ServedApps, spec: AppSpec, server: ServerSpec) -> Any:
    """The app as one of the server's interface. Starts nothing.

    :raises ConfigError: an option does not fit the app.
    """
    part = served.single
    if part is None or served.is_universal:
        return served.app
    if part.interface == server.interface:
        if server.ignores_lifespan:
            return universal(part.mountable, shutdown_timeout_s=spec.grace_s)
        return served.app
    if server.interface == "asgi":
        return WsgiToAsgi(served.app, shutdown_timeout_s=spec.grace_s, **spec.wsgi.keywords)
    limit_s = spec.wsgi.request_timeout_s or None
    return AsgiToWsgi(served.app, shutdown_timeout_s=spec.grace_s, request_timeout_s=limit_s)


def plain_asgi(app: Any) -> AsgiApp:
    """``app`` in a form that no server treats as ASGI 2.

    Some servers do so with classes, and with callables that return a coroutine without being
    ``async def``.
    """
    if iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__):
        plain: AsgiApp = app
        return plain

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return asgi


def _show_log(level: str) -> None:
    """Show the logger ``bridge``, which has the app's errors. Servers show only their own."""
    logger = logging.getLogger("bridge")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))
        logger.addHandler(handler)

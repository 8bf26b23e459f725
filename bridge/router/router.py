"""`Router`: WSGI and ASGI apps in one process, each at its prefix. It supports both interfaces.

Input: scopes of ASGI servers, on their event loop; environs of WSGI servers, on their threads.
Output: the same, passed to the app with the longest prefix, which sees where it is mounted.

::

                 ASGI app                           WSGI app
    ASGI server  called directly, on the loop       through one WsgiToAsgi: one pool for all
    WSGI server  through one AsgiToWsgi: one loop,  called directly, on the server thread
                 one lifespan for all

The side of the server's interface looks the prefix up, once for each request. If the app has the
other interface, the adapter gets it together with the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Unpack

from bridge._http.paths import shown
from bridge._http.prefixes import normal_prefix
from bridge._lifespan.many import MountedApp
from bridge._lifespan.shared import SharedLifespan
from bridge._observe.crossings import Crossings
from bridge._observe.observed import app_of
from bridge._observe.settings import Settings
from bridge._threads import process
from bridge._threads.instances import Instances
from bridge._threads.locks import GreenletMutex
from bridge._threads.loop_choice import loop_choice
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi, start_adapters
from bridge.config import OF_WEBSOCKETS, ToWsgiOptions, WebSocketOptions
from bridge.dual import Universal
from bridge.errors import ConfigError, LifespanFailed
from bridge.router.asgi_side import AsgiSide
from bridge.router.limits import pool_options, server_limits
from bridge.router.mount import AnyApp, Mount
from bridge.router.mounts import Contents, Mounts, identity, read_mounts
from bridge.router.options import RouterKeywords, RouterOptions
from bridge.router.server_threads import limited, limits_on_server_threads
from bridge.router.wsgi_side import WsgiSide
from bridge.types import AsgiApp, Environ, PoolStats, StartResponse, WsgiApp
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi
from bridge.wsgi_to_asgi.django_streams import adapt_handlers

__all__ = ["Router", "start_apps", "universal"]

POOL_GRACE_S = 2.0
"""How much longer than its own timeout the shutdown of an adapter may take: it reports the threads
that still run."""


class Router(Universal):
    """Mounts WSGI and ASGI apps, and other Routers, in one process.

    ::

        app = bridge.Router({"/": flask_app, "/api": fastapi_app}, websocket={"/ws": chat})

    ASGI servers (``uvicorn main:app``) and WSGI servers (``gunicorn main:app``) can both serve it.
    Each app sees its prefix in ``root_path`` or ``SCRIPT_NAME``. Nothing starts here: the apps'
    lifespans run once in each process, when the server starts and stops them; or, on servers that
    never do, from the first request to the end of the process.

    :param mounts: apps by prefix. A request goes to the longest prefix that ends at a ``/`` of the
        path; ``"/"`` gets the requests that no other prefix matches. An app may be WSGI, ASGI, a
        Router, or a :class:`Mount`.
    :param websocket: for WebSockets only: apps by prefix, or one app for all WebSockets that no
        ASGI app of ``mounts`` gets.
    :param options: those of :class:`WsgiToAsgi` (``threads``, ``executor``, ``backlog``, ...) for
        all mounted WSGI apps together, and those of :class:`AsgiToWsgi` (``lifespan``,
        ``startup_timeout_s``, ``loop_factory``, ...) for all mounted ASGI apps together. Timeouts
        of lifespans apply to each app. The options of a nested Router take precedence for its apps.
    :ivar asgi: the ASGI 3 interface alone. If a server sends no lifespan, a request raises
        :exc:`LifespanFailed` if a mounted app did not start.
    :ivar wsgi: the PEP 3333 interface alone. The same holds for every request. A mounted WSGI app
        is called on the server's thread.
    :raises ConfigError: a prefix, a mount or an option is wrong, or ``BRIDGE_LOOP``. Names it, and
        what is allowed.
    :raises AmbiguousApp: the interface of an app cannot be detected. Names the prefix, and how to
        choose one.
    """

    def __init__(
        self,
        mounts: Mounts,
        *,
        websocket: Mounts | AnyApp | None = None,
        **options: Unpack[RouterKeywords],
    ) -> None:
        self.options = RouterOptions(options)
        self.plan = read_mounts(mounts, websocket, self.options, _open_adapter)
        self._pools = self._make_pools()
        apps = self._mounted_apps()
        if self.plan.asgi_apps and self.options.to_wsgi.loop_factory is None:
            loop_choice()  # raises here, and not at the first request
        self._lifespan = SharedLifespan(
            apps,
            [_pool_app(adapter) for adapter in self._pools.values()],
            # A WSGI app in an adapter stores nothing in the state.
            shares_state=sum(place.wsgi is None for place in self.plan.asgi_apps) <= 1,
        )
        states = {identity(app.app): app.state for app in apps}
        self._asgi_side = AsgiSide(self.plan, self._lifespan, self._pools, states)
        self._wsgi_side = WsgiSide(
            self.plan,
            self._call_asgi,
            self._asgi_side.http_apps,
            self._websocket_apps(),
            server_limits(self.plan),
        )
        super().__init__(self._asgi_side.serve, self._start_and_serve)
        self._lock = GreenletMutex()
        self._adapter: AsgiToWsgi | None = None
        self._crossings: Crossings | None = None
        _routers.add(self)
        self._is_mounted = False
        for _, mount in self.plan.mounts:
            for app in (mount.http, mount.websocket):
                if isinstance(app, Router):
                    app._is_mounted = True

    def __repr__(self) -> str:
        mounted = ", ".join(f"{prefix or '/'!r}: {_shown(m)}" for prefix, m in self.plan.mounts)
        return f"{type(self).__name__}({{{mounted}}})"

    def stats(self, prefix: str | None = None) -> PoolStats | None:
        """Current threads, queue and waits of the pool that WSGI apps share on ASGI servers.

        :param prefix: of an app: of the pool that this app runs on, which may be another one if its
            :class:`Mount` has options, or if it is mounted in a nested Router.
        :returns: None if all apps are ASGI, or the one at ``prefix`` is.
        :raises ConfigError: nothing is mounted at ``prefix``.
        """
        pool: RouterOptions = self.options
        if prefix is not None:
            place = self.plan.http.get(normal_prefix(prefix))
            if place is None:
                known = ", ".join(repr(shown(each)) for each in self.plan.http)
                raise ConfigError("prefix", prefix, f"one of those that have an app: {known}")
            if isinstance(place.asgi, WsgiToAsgi):
                return place.asgi.stats()
            pool = place.pool
            if place.asgi is not None:
                return None
        adapter = self._pools.get(pool)
        return None if adapter is None else adapter.stats()

    def limit_stats(self) -> dict[str, PoolStats]:
        """Requests, queue and waits of each path that has a limit, on ASGI servers."""
        return {
            path: stats
            for adapter in self._pools.values()
            for path, stats in adapter.limit_stats().items()
        }

    def _mounted_apps(self) -> list[MountedApp]:
        """The ASGI apps that have a lifespan."""
        return [
            MountedApp(
                place.asgi,
                place.label,
                place.options.to_wsgi,
                asgi_only=not place.is_called_on_loop,
                needs_start=not isinstance(place.app, Universal) or place.app.needs_start,
            )
            for place in self.plan.asgi_apps
            if place.asgi is not None and place.options.to_wsgi.lifespan != "off"
        ]

    # -- on ASGI servers ------------------------------------------------------------------------

    @property
    def has_started(self) -> bool:
        """Whether every mounted app has started that has to, in this process."""
        return self._lifespan.is_ready

    async def start_on_asgi(self) -> None:
        """On a server that sends no lifespan: start the mounted apps, unless that has been done.

        :raises LifespanFailed: an app did not start, now or before.
        :raises ServerProtocolError: the server runs no asyncio event loop.
        """
        await self._lifespan.start_for_requests()

    def _make_pools(self) -> dict[RouterOptions, WsgiToAsgi]:
        """An adapter for all WSGI apps, and one for each nested Router with its own options.

        Each is made with the first of its apps, and called with the one that a request is for.
        """
        pools: dict[RouterOptions, WsgiToAsgi] = {}
        for place in self.plan.http.values():
            if place.asgi is not None or place.wsgi is None:
                continue
            if place.pool in pools:
                adapt_handlers(place.wsgi)
            else:
                options = {**place.options.for_to_asgi, **pool_options(self.plan, place.pool)}
                pools[place.pool] = WsgiToAsgi(place.wsgi, **options)
        return pools

    # -- on WSGI servers ------------------------------------------------------------------------

    def _start_and_serve(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._lifespan.is_ready:
            self.start()
        return self._wsgi_side.serve(environ, start_response)

    def start(self) -> None:
        """On a WSGI server: start the mounted ASGI apps, if this process has not yet. Blocks.

        Otherwise the first request does; see also :mod:`bridge.contrib.gunicorn`.

        :raises LifespanFailed: an app did not start, now or before. Names its prefix.
        """
        if not self._lifespan.starts_on_wsgi:
            return
        try:
            self._asgi_adapter().start()
        except LifespanFailed as error:
            app = self._lifespan.starting  # still set if the app blocks the loop
            if app is None:
                raise
            raise LifespanFailed(f"{app.label}: {error}") from error.__cause__

    def close(self) -> None:
        """On a WSGI server: shut the mounted ASGI apps down, in reverse order. Blocks.

        Called automatically when the process ends.

        :raises LifespanFailed: a shutdown failed, or took too long. Names the prefix.
        """
        adapter = self._adapter
        if adapter is not None:
            adapter.close()

    @property
    def is_recorded(self) -> bool:
        """Whether :meth:`record_crossings` was called."""
        return self._crossings is not None

    def record_crossings(
        self,
        to_asgi: Callable[[str | None], Crossings],
        to_wsgi: Callable[[], Crossings],
        settings: Settings,
    ) -> None:
        """Record all requests from now on: in the adapters, and otherwise with a middleware.

        :param settings: of the middleware.
        """
        for adapter in self._pools.values():
            adapter.record_crossings(to_asgi)
        self._crossings = to_wsgi()
        if self._adapter is not None:
            self._adapter.record_crossings(self._crossings)
        self._asgi_side.observe(settings)
        self._wsgi_side.observe(settings)

    def stop_recording(self) -> None:
        """Undo :meth:`record_crossings` in the adapters: what is around this Router counts."""
        for adapter in self._pools.values():
            adapter.stop_recording()
        self._crossings = None
        if self._adapter is not None:
            self._adapter.stop_recording()

    def _call_asgi(
        self, environ: Environ, start_response: StartResponse, *, app: AsgiApp
    ) -> Iterable[bytes]:
        return self._asgi_adapter()(environ, start_response, app=app)

    def _websocket_apps(self) -> dict[str, WsgiApp]:
        """What serves the WebSockets of each prefix, with the options that hold there."""
        apps, plan = self._asgi_side.websocket_apps, self.plan
        return {
            prefix: partial(self._serve_websocket, app=apps[prefix], options=place.options.to_wsgi)
            for prefix, place in plan.websocket.items()
        }

    def _serve_websocket(
        self,
        environ: Environ,
        start_response: StartResponse,
        *,
        app: AsgiApp,
        options: WebSocketOptions,
    ) -> Iterable[bytes]:
        adapter = self._asgi_adapter()
        return adapter.serve_websocket(environ, start_response, app=app, options=options)

    def _asgi_adapter(self) -> AsgiToWsgi:
        """The adapter for all ASGI apps, made when a WSGI server first needs it."""
        adapter = self._adapter
        if adapter is None:
            with self._lock:
                adapter = self._adapter
                if adapter is None:
                    adapter = self._adapter = self._make_asgi_adapter()
        return adapter

    def _make_asgi_adapter(self) -> AsgiToWsgi:
        options: dict[str, Any] = self.options.for_to_wsgi
        options["lifespan"] = "on"  # the Router's: it detects which apps have none
        options["startup_timeout_s"] = self._lifespan.startup_timeout_s
        adapter = AsgiToWsgi(self._asgi_side.serve_on_wsgi, **options)
        if self._crossings is not None:
            adapter.record_crossings(self._crossings)
        return adapter

    def _after_fork(self) -> None:
        self._lock = GreenletMutex()  # another thread may have held it


def _open_adapter(app: AnyApp) -> Contents | None:
    if type(app) is AsgiToWsgi:
        names = ("lifespan", "startup_timeout_s", *OF_WEBSOCKETS)
        own = {name: getattr(app.options, name) for name in names}
        return Contents(app.app, asgi=app.app, wsgi=None, options=own, loop=app.options)
    if type(app) is WsgiToAsgi:
        limits = limits_on_server_threads(app.options.limits or {})
        return Contents(app, asgi=app, wsgi=limited(app.app, limits))
    return None


def _pool_app(adapter: WsgiToAsgi) -> MountedApp:
    timeout_s = adapter.options.shutdown_timeout_s + POOL_GRACE_S
    options = ToWsgiOptions(lifespan="on", shutdown_timeout_s=timeout_s)
    return MountedApp(adapter, "the threads of the mounted WSGI apps", options)


def _shown(mount: Mount) -> str:
    return repr(mount.http if mount.websocket is None else mount)


def universal(app: AnyApp, **options: Unpack[RouterKeywords]) -> Universal:
    """Make ``app`` servable by ASGI and WSGI servers alike; the server needs no configuration.

    ::

        app = bridge.universal(flask_app)    # uvicorn main:app, and gunicorn main:app

    A server of the app's own interface calls it directly. On other servers it is converted, as with
    :func:`to_asgi` and :func:`to_wsgi`. An ASGI app's lifespan runs once in each process, also on
    servers that send none.

    :param app: a WSGI app, or an ASGI app. A Router, or an app that this function has returned, is
        returned unchanged.
    :param options: those of :class:`~bridge.WsgiToAsgi` and :class:`~bridge.AsgiToWsgi`.
    :raises AmbiguousApp: the interface of ``app`` cannot be detected; the message explains how to
        choose one.
    :raises ConfigError: an option is wrong.
    """
    if isinstance(app, Universal):
        return app
    return Router({"/": app}, **options)


_routers: Instances[Router] = Instances()


def start_apps(served: object, *, sends_lifespan: bool = False) -> None:
    """Before the first request: start the apps of this process, and wait until they run.

    An app that is mounted in a Router and is also in an adapter of its own starts in the one that
    is served. If that is neither, it starts in the Router; the adapter then starts it with its
    first request. So does a second adapter of the app that is served: ``bridge run main:api``
    makes one, though ``main`` may have its own.

    :param served: the app that the server calls. If it is neither a Router nor an adapter, it may
        contain any of them: all are started.
    :param sends_lifespan: whether the server starts a Router itself.
    :raises LifespanFailed: an app's startup failed.
    """
    served = app_of(served)
    served = getattr(served, "__self__", served)  # of router.wsgi
    routers = _routers_in(served)
    if not sends_lifespan:
        for router in routers:
            router.start()
    apps = [app for router in routers for app in router._mounted_apps()]
    started = {identity(app.app) for app in apps if sends_lifespan or not app.asgi_only}
    if isinstance(served, AsgiToWsgi):
        started.add(identity(served.app))
    start_adapters(but=lambda adapter: adapter is not served and identity(adapter.app) in started)


def _routers_in(served: object) -> list[Router]:
    if isinstance(served, Router):
        return [served]
    if isinstance(served, AsgiToWsgi):
        return []  # a Router inside is on its loop: it gets the lifespan there
    return outermost_routers()


def outermost_routers() -> list[Router]:
    """The Routers of this process that are not mounted in another one. From any thread."""
    return [router for router in _routers.alive() if not router._is_mounted]


def _after_fork() -> None:
    for router in _routers.alive():
        router._after_fork()


process.in_child(process.Fork.ROUTERS, _after_fork)

"""`Router`: WSGI and ASGI apps under one roof, each at its prefix. Itself both, ASGI and WSGI.

What enters: scopes of ASGI servers, on their event loop; environs of WSGI servers, on their
threads. What leaves: the same, to the app with the longest prefix, which sees itself mounted there.

::

                 ASGI app                        WSGI app
    ASGI server  called as it is, on the loop    through one WsgiToAsgi: one pool for all
    WSGI server  through one AsgiToWsgi: one     called as it is, on the server's thread
                 loop, one life for all

Whatever crosses goes through an adapter that has the Router's other face behind it, which looks the
prefix up again: a fraction of a microsecond, and each face knows only its own interface.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, Unpack
from weakref import WeakSet

from bridge._frameworks.django import read_chunked_bodies
from bridge._lifespan.many import MountedApp
from bridge._lifespan.shared import SharedLifespan
from bridge._threads import process
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.config import ToWsgiOptions
from bridge.dual import Universal
from bridge.errors import LifespanFailed
from bridge.router.asgi_side import AsgiSide
from bridge.router.mounts import AnyApp, Mount, Mounts, Place, identity, plan
from bridge.router.options import RouterKeywords, RouterOptions
from bridge.router.wsgi_side import WsgiSide
from bridge.types import AsgiApp, Environ, PoolStats, StartResponse
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["Router", "start_routers"]

POOL_GRACE_S = 2.0


class Router(Universal):
    """Mounts WSGI and ASGI apps, and other Routers, in one process.

    ::

        app = bridge.Router({"/": flask_app, "/api": fastapi_app}, websocket={"/ws": chat})

    ASGI servers (``uvicorn main:app``) and WSGI servers (``gunicorn main:app``) both take it as it
    is. Each app sees its prefix in ``root_path`` or ``SCRIPT_NAME``. Nothing starts here: the apps'
    lifespans run once in each process, when the server says so; or, on servers that never do, when
    the first request comes and when the process ends.

    :param mounts: apps by prefix. The longest prefix that ends at a ``/`` of the path gets the
        request; ``"/"`` gets what nothing else does. An app may be WSGI, ASGI, a Router, or a
        :class:`Mount`.
    :param websocket: for WebSockets only: apps by prefix, or one app for all that no ASGI app of
        ``mounts`` gets.
    :param options: those of :class:`WsgiToAsgi` (``threads``, ``executor``, ``backlog``, ...) for
        all mounted WSGI apps together, and those of :class:`AsgiToWsgi` (``lifespan``,
        ``startup_timeout_s``, ``loop_factory``, ...) for all mounted ASGI apps together. Timeouts
        of lifespans are for each app. A nested Router with options of its own keeps them.
    :ivar asgi: the ASGI 3 face. Where a server sends no lifespan, a request raises
        :exc:`LifespanFailed` if a mounted app did not start.
    :ivar wsgi: the PEP 3333 face. The same holds for every request. A mounted WSGI app is called on
        the server's own thread.
    :raises ConfigError: a prefix, a mount or an option is wrong. Names it, and what is allowed.
    :raises AmbiguousApp: an app's interface cannot be told. Names the prefix, and how to choose.
    """

    def __init__(
        self,
        mounts: Mounts,
        *,
        websocket: Mounts | AnyApp | None = None,
        **options: Unpack[RouterKeywords],
    ) -> None:
        self.options = RouterOptions(options)
        self.plan = plan(mounts, websocket, self.options)
        self._pools = self._make_pools()
        apps = [_member(place) for place in self.plan.members]
        apps = [member for member in apps if member.options.lifespan != "off"]
        self._life = SharedLifespan(
            apps,
            [_pool_member(pool) for pool in self._pools.values()],
            shares_state=len(self.plan.members) == 1,
        )
        shares = {identity(member.app): member.state for member in apps}
        self._asgi = AsgiSide(self.plan, self._life, self._pools, shares)
        self._wsgi = WsgiSide(self.plan, self._from_wsgi)
        super().__init__(self._asgi.serve, self._serve_wsgi)
        self._lock = Lock()
        self._adapter: AsgiToWsgi | None = None
        _routers.add(self)
        self._is_mounted = False
        for _, mount in self.plan.mounts:
            for app in (mount.http, mount.websocket):
                if isinstance(app, Router):
                    app._is_mounted = True

    def __repr__(self) -> str:
        mounted = ", ".join(f"{prefix or '/'!r}: {_inside(m)}" for prefix, m in self.plan.mounts)
        return f"{type(self).__name__}({{{mounted}}})"

    def stats(self) -> PoolStats | None:
        """The pool that WSGI apps share on ASGI servers: threads, queue and waits at this moment.

        :returns: None if all apps are ASGI. A nested Router's own pool is not counted.
        """
        pool = self._pools.get(self.options)
        return None if pool is None else pool.stats()

    # -- on ASGI servers ------------------------------------------------------------------------

    def _make_pools(self) -> dict[RouterOptions, WsgiToAsgi]:
        """An adapter for all WSGI apps, and for those of nested Routers with their own options."""
        places = [place for place in self.plan.http.values() if place.asgi is None and place.wsgi]
        pools: dict[RouterOptions, WsgiToAsgi] = {}
        for place in places:
            read_chunked_bodies(place.wsgi)
            if place.pool not in pools:
                only = place.wsgi if len(self.plan.http) == 1 and not place.prefix else None
                pools[place.pool] = WsgiToAsgi(only or self._from_asgi, **place.options.for_to_asgi)
        return pools

    def _from_asgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._wsgi.call_wsgi(environ, start_response)

    # -- on WSGI servers ------------------------------------------------------------------------

    def _serve_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._life.is_ready:
            self.start()
        return self._wsgi.serve(environ, start_response)

    def start(self) -> None:
        """Under a WSGI server: start the mounted ASGI apps, if this process has not yet. Blocks.

        The first request does so, too; see also :mod:`bridge.contrib.gunicorn`.

        :raises LifespanFailed: an app did not start, now or before. Names its prefix.
        """
        if not self._life.starts_on_wsgi:
            return
        try:
            self._crossing().start()
        except LifespanFailed as error:
            stuck = self._life.starting  # an app that blocks the loop: only its stack is known
            if stuck is None:
                raise
            raise LifespanFailed(f"{stuck.label}: {error}") from error.__cause__

    def close(self) -> None:
        """Under a WSGI server: shut the mounted ASGI apps down, the last one first. Blocks.

        Happens by itself when the process ends.

        :raises LifespanFailed: a shutdown failed, or took too long. Names its prefix.
        """
        adapter = self._adapter
        if adapter is not None:
            adapter.close()

    def _from_wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._crossing()(environ, start_response)

    def _crossing(self) -> AsgiToWsgi:
        """The adapter for all ASGI apps, made when a WSGI server shows itself."""
        adapter = self._adapter
        if adapter is None:
            with self._lock:
                adapter = self._adapter
                if adapter is None:
                    adapter = self._adapter = self._make_crossing()
        return adapter

    def _make_crossing(self) -> AsgiToWsgi:
        options: dict[str, Any] = self.options.for_to_wsgi
        options["lifespan"] = "on"  # ours, that is: it says by itself which app has none
        options["startup_timeout_s"] = self._life.startup_timeout_s
        return AsgiToWsgi(self._asgi.hosted, **options)

    def _after_fork(self) -> None:
        self._lock = Lock()  # another thread may have held it


def _member(place: Place) -> MountedApp:
    app: AsgiApp | None = place.asgi
    if app is None:
        raise LifespanFailed(f"{place.label} is WSGI and has no lifespan")
    return MountedApp(app, place.label, place.options.to_wsgi, asgi_only=place.wsgi is not None)


def _pool_member(pool: WsgiToAsgi) -> MountedApp:
    return MountedApp(
        pool,
        "the pool of the mounted WSGI apps",
        ToWsgiOptions(lifespan="on", shutdown_timeout_s=pool.options.shutdown_timeout_s + 2),
    )


def _inside(mount: Mount) -> str:
    return repr(mount.http if mount.websocket is None else mount)


_routers: WeakSet[Router] = WeakSet()


def start_routers(served: object = None) -> None:
    """On a WSGI server: start the apps of the Router that it serves, and wait until they are up.

    :param served: what the server calls. If that is no Router, but perhaps something around one,
        all Routers of this process are started.
    :raises LifespanFailed: an app's startup failed.
    """
    served = getattr(served, "__self__", served)  # of router.wsgi
    if isinstance(served, Router):
        served.start()
        return
    for router in list(_routers):
        if not router._is_mounted:  # else the outer one starts its apps
            router.start()


def _after_fork() -> None:
    for router in list(_routers):
        router._after_fork()


process.in_child(process.Fork.ROUTERS, _after_fork)

"""A Django project as one app: HTTP goes to the handler that fits the view, WebSockets elsewhere.

Input: ASGI scopes, or environs of a WSGI server. Output: what one of three apps answers:

- Django's WSGI handler, behind :class:`~bridge.WsgiToAsgi` on ASGI servers: every request except
- those for async views that can run on the event loop, which Django's ASGI handler gets: see
  :mod:`bridge.contrib.django.choice`;
- the app passed as ``websocket``.

A :class:`~bridge.Router` has the first two, as :class:`DjangoHandlers`, at ``/``, and runs the
lifespans. Runs on: the event loop thread, which waits for another thread only to walk the URLconf;
or the server thread of a WSGI server.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, Unpack, cast

from django.conf import settings
from django.urls import URLResolver

from bridge._http.paths import below_root, normal_root, with_root
from bridge._http.rules import BadRequest
from bridge.config import ToAsgiKeywords
from bridge.contrib.django import static
from bridge.contrib.django.chain import why_not_async
from bridge.contrib.django.choice import Choice
from bridge.contrib.django.handlers import AsgiSide, WsgiSide
from bridge.contrib.django.hops import thread_hops
from bridge.contrib.django.options import DjangoKeywords, split_options
from bridge.contrib.django.thread_holders import sync_event_streams
from bridge.dual import Universal
from bridge.router.asgi_side import refuse_websockets
from bridge.router.router import POOL_GRACE_S, Router
from bridge.router.server_threads import limited, limits_on_server_threads
from bridge.types import AsgiApp, LifespanMode, PoolStats, Receive, Scope, Send, WsgiApp
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["DjangoApplication", "DjangoHandlers"]

logger = logging.getLogger("bridge.django")
startup_logger = logging.getLogger("django.bridge")  # Django's LOGGING shows it while DEBUG is on

NO_WEBSOCKET_APP = (
    "the project has no app for WebSockets. Pass one with get_asgi_application(websocket=app)"
)
NO_LIMIT_S = 24 * 60 * 60
"""For importing the URLconf at startup: Django has no limit for that either."""


class DjangoApplication(Router):
    """What :func:`~bridge.contrib.django.get_asgi_application` returns: a :class:`~bridge.Router`.

    WSGI servers can call it, too: there all views run on the server's threads.

    :ivar asgi: the ASGI 3 interface alone: ``http``, ``websocket`` and ``lifespan``.
    :ivar wsgi: the PEP 3333 interface alone: Django's WSGI handler, on the server's thread.
    """

    def __init__(
        self,
        websocket: AsgiApp | None,
        lifespan: LifespanMode,
        startup_timeout_s: float,
        **options: Unpack[DjangoKeywords],
    ) -> None:
        of_adapter, of_websockets = split_options(options)
        self._handlers = DjangoHandlers(**of_adapter)
        self._websocket = websocket
        super().__init__(
            {"/": self._handlers},
            websocket=websocket,
            lifespan=lifespan,
            startup_timeout_s=startup_timeout_s,
            shutdown_timeout_s=self._handlers.adapter.options.shutdown_timeout_s,
            **of_websockets,
        )

    def __repr__(self) -> str:
        return f"DjangoApplication({settings.SETTINGS_MODULE!r}, websocket={self._websocket!r})"

    def stats(self, prefix: str | None = None) -> PoolStats:
        """Current threads, queue and waits of the pool that sync views run on.

        :param prefix: as for :meth:`bridge.Router.stats`; the project is at ``/``.
        """
        if prefix is not None:
            super().stats(prefix)
        return self._handlers.adapter.stats()

    def limit_stats(self) -> dict[str, PoolStats]:
        """Requests, queue and waits of each path that has a limit, for sync views."""
        return self._handlers.adapter.limit_stats()


class DjangoHandlers(Universal):
    """Django's two handlers as one app. WebSockets are refused, unless Django gets the raw socket.

    :param options: those of :class:`~bridge.WsgiToAsgi`.
    :ivar adapter: runs Django's WSGI handler on worker threads.
    """

    def __init__(self, **options: Unpack[ToAsgiKeywords]) -> None:
        self._wsgi_side = WsgiSide(self._add_urlconf)
        self._files = static.DevelopmentFiles(self._wsgi_side) if static.served_below() else None
        wsgi: WsgiApp = self._files or self._wsgi_side
        limits = limits_on_server_threads(options.get("limits") or {})
        self.adapter = WsgiToAsgi(wsgi, **options)
        super().__init__(self._serve, limited(wsgi, limits))
        self.mount_options = {
            "lifespan": "on",
            "startup_timeout_s": NO_LIMIT_S,
            "shutdown_timeout_s": self.adapter.options.shutdown_timeout_s + POOL_GRACE_S,
        }
        self.needs_start = False  # its lifespan only prepares the URLconf and ends the threads
        self._websockets: AsgiApp = self.adapter
        if not self.adapter.options.websocket_threads:
            self._websockets = refuse_websockets(NO_WEBSOCKET_APP, logger)
        self._asgi_side: AsgiSide | None = None
        self._choice = Choice(self._can_run_async, self._name_thread_holders)
        self._thread_holders: set[str] = set()
        self._script_name: str | None = settings.FORCE_SCRIPT_NAME
        if settings.DEBUG:
            self._log_hops()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if self._script_name is not None:
                scope = _mounted_at(self._script_name, scope)
            choice = self._choice
            if not choice.is_known():
                await choice.learn()
            if choice.any_async and self._wants_asgi(scope):
                await self._serve_async(scope, receive, send)
            else:
                await self.adapter(scope, receive, send)
        elif kind == "websocket":
            await self._websockets(scope, receive, send)
        else:  # the adapter ends its threads at the lifespan's shutdown
            if not self._choice.is_known():
                await self._choice.learn()
            await self.adapter(scope, receive, send)

    def _wants_asgi(self, scope: Scope) -> bool:
        """Whether Django's ASGI handler should serve this request."""
        path = path_info(scope)
        if not self._choice.wants_asgi(path):
            return False
        files = self._files
        return files is None or files.below(scope.get("root_path") or "", path) is None

    async def _serve_async(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an async view, under the adapter's rules for headers."""
        app = cast("AsgiApp", self._asgi_side)
        try:
            headers = self.adapter.headers_of(scope)
        except BadRequest:
            app = self.adapter  # answers 400
        else:
            if headers is not scope["headers"]:
                scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    def _add_urlconf(self, urlconf: Any) -> None:
        self._choice.add(urlconf)

    def _can_run_async(self) -> bool:
        """There are async views: make Django's ASGI handler, unless middleware prevents it."""
        if self._asgi_side is not None:
            return True
        if self._why_not_async is not None:
            return False
        options = self.adapter.options
        self._asgi_side = AsgiSide(
            self._add_urlconf,
            trusted_environ=options.trusted_environ,
        )
        return True

    @cached_property
    def _why_not_async(self) -> str | None:
        reason = why_not_async(self._wsgi_side.links())
        if reason is not None:
            logger.info("async views run from worker threads: %s", reason)
        return reason

    def _name_thread_holders(self, resolver: URLResolver) -> None:
        for view in sync_event_streams(resolver):
            if view not in self._thread_holders:
                self._thread_holders.add(view)
                logger.warning(
                    "each client of %s holds a thread for as long as it listens, and sync views "
                    "have %d: its events come from a sync generator. An async one holds none",
                    view,
                    self.adapter.options.threads,
                )

    def _log_hops(self) -> None:
        links = self._wsgi_side.links()
        startup_logger.info(
            "Sync views run on %d worker threads, one hand-over each way. Under Django's own ASGI "
            "handler the %d middleware of this project would cost each of their requests %d "
            "thread hops.",
            self.adapter.options.threads,
            len(links),
            thread_hops(link.describe() for link in links),
        )


def path_info(scope: Scope) -> str:
    """The path below the mount point."""
    path: str = scope["path"]
    return below_root(scope.get("root_path") or "", path)


def _mounted_at(script_name: str, scope: Scope) -> Scope:
    """A copy of the scope, mounted at ``script_name``.

    It replaces the mount point that the server has added to ``path``, and one that a proxy has
    removed is added again. ``raw_path`` stays what the client has sent.
    """
    path = path_info(scope)
    script_name = normal_root(script_name)
    is_removed = path != scope["path"]
    path = script_name + path or "/" if is_removed else with_root(script_name, path)
    return {**scope, "root_path": script_name, "path": path}

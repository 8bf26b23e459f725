"""One ASGI app out of a Django project: HTTP to the handler that suits the view, WebSockets beside.

What enters: ASGI scopes. What leaves: ASGI messages, from one of three apps:

- Django's WSGI handler behind :class:`~bridge.WsgiToAsgi`: everything but
- Django's ASGI handler: async views that can run on the event loop, see
  :mod:`bridge.contrib.django.choice`;
- the app given as ``websocket``, with its lifespan.

On the event loop's thread; nothing here waits for a thread but the first request, for the URLconf.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from typing import Any, Unpack, cast

from django.conf import settings

from bridge._lifespan.runner import LifespanRunner
from bridge.config import ToAsgiKeywords
from bridge.contrib.django import static
from bridge.contrib.django.chain import why_not_async
from bridge.contrib.django.choice import Choice
from bridge.contrib.django.handlers import AsgiSide, WsgiSide, has_underscores
from bridge.contrib.django.hops import thread_hops
from bridge.dual import Universal
from bridge.errors import LifespanFailed, ServerProtocolError
from bridge.types import (
    AsgiApp,
    LifespanMode,
    Message,
    PoolStats,
    Receive,
    Scope,
    Send,
    WsgiApp,
)
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["DjangoApplication"]

logger = logging.getLogger("bridge.django")
startup_logger = logging.getLogger("django.bridge")  # shown by Django's own LOGGING while DEBUG


class DjangoApplication(Universal):
    """What :func:`~bridge.contrib.django.get_asgi_application` returns.

    WSGI servers can call it, too: every view runs on the server's threads then, and there are no
    WebSockets.

    :ivar asgi: the ASGI 3 face: ``http``, ``websocket`` and ``lifespan``.
    :ivar wsgi: the PEP 3333 face: Django's WSGI handler, on the server's own thread.
    """

    def __init__(
        self,
        websocket: AsgiApp | None,
        lifespan: LifespanMode,
        startup_timeout_s: float,
        **options: Unpack[ToAsgiKeywords],
    ) -> None:
        self._django = WsgiSide(self._learn_urlconf)
        self._files = static.DevelopmentFiles(self._django) if static.served_below() else None
        wsgi: WsgiApp = self._files or self._django
        super().__init__(self._serve, wsgi)
        self._bridge = WsgiToAsgi(wsgi, **options)
        self._asgi: AsgiSide | None = None
        self._choice = Choice(self._may_run_async)
        self._script_name: str | None = settings.FORCE_SCRIPT_NAME
        self._websocket = websocket
        self._life = _Life(websocket, lifespan, startup_timeout_s)
        self._shutdown_timeout_s = self._bridge.options.shutdown_timeout_s
        if settings.DEBUG:
            self._tell()

    def __repr__(self) -> str:
        return f"DjangoApplication({settings.SETTINGS_MODULE!r}, websocket={self._websocket!r})"

    def stats(self) -> PoolStats:
        """Threads, queue and waits of the pool that sync views run on, at this moment."""
        return self._bridge.stats()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if self._script_name:
                scope = _mounted_at(self._script_name, scope)
            choice = self._choice
            if not choice.is_known():
                await choice.learn()
            app = self._async_side(scope) if choice.any_async else None
            await (app or self._bridge)(scope, receive, send)
        elif kind == "websocket":
            await self._connect(scope, receive, send)
        elif kind == "lifespan":
            await self._live(scope, receive, send)
        else:
            raise ServerProtocolError(
                f"scope type {kind!r}; Django serves 'http', 'websocket' and 'lifespan'"
            )

    # -- http -----------------------------------------------------------------------------------

    def _async_side(self, scope: Scope) -> AsgiApp | None:
        """Django's ASGI handler, if it is to take this request."""
        path = path_info(scope)
        if not self._choice.wants_asgi(path):
            return None
        files = self._files
        if files is not None and files.below(scope.get("root_path") or "", path) is not None:
            return None
        if self._bridge.options.underscore_headers == "refuse" and has_underscores(scope):
            return None  # to_asgi answers 400
        return cast("AsgiApp", self._asgi)

    def _learn_urlconf(self, urlconf: Any) -> None:
        self._choice.add(urlconf)

    def _may_run_async(self) -> bool:
        """Async views were found. Make Django's ASGI handler, unless the middleware forbid it."""
        if self._asgi is not None:
            return True
        if self._why_not is not None:
            return False
        options = self._bridge.options
        self._asgi = AsgiSide(
            self._learn_urlconf,
            trusted_environ=options.trusted_environ,
            keeps_underscores=options.underscore_headers == "keep",
        )
        return True

    @cached_property
    def _why_not(self) -> str | None:
        reason = why_not_async(self._django.links())
        if reason is not None:
            logger.info("async views run from worker threads: %s", reason)
        return reason

    def _tell(self) -> None:
        links = self._django.links()
        startup_logger.info(
            "Sync views run on %d worker threads, one hand-over each way. Under Django's own ASGI "
            "handler the %d middleware of this project would cost each of their requests %d "
            "thread hops.",
            self._bridge.options.threads,
            len(links),
            thread_hops(link.describe() for link in links),
        )

    # -- websocket ------------------------------------------------------------------------------

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._websocket is None:
            raw = self._bridge.options.websocket_threads
            await (self._bridge if raw else _refuse)(scope, receive, send)
            return
        state = await self._life.begin()
        if state and "state" not in scope:
            scope = {**scope, "state": state.copy()}
        await self._websocket(scope, receive, send)

    # -- lifespan -------------------------------------------------------------------------------

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the ``websocket`` app, and end it before the worker threads end."""
        await receive()  # lifespan.startup
        try:
            state = await self._life.begin()
        except LifespanFailed as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        if "state" in scope:
            scope["state"].update(state)
        if not self._choice.is_known():
            await self._choice.learn()
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        try:
            await self._life.end(self._shutdown_timeout_s)
        except LifespanFailed as error:
            await self._drain()
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            raise
        await self._drain()
        await send({"type": "lifespan.shutdown.complete"})

    async def _drain(self) -> None:
        """Let the bridge's own lifespan end its threads."""
        messages = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            """It only ever says that it is done."""

        await self._bridge({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)


class _Life:
    """The lifespan of the ``websocket`` app, once in a process.

    It starts with the server's, or before the first WebSocket where the server has none.
    """

    def __init__(self, app: AsgiApp | None, mode: LifespanMode, startup_timeout_s: float) -> None:
        self._app = app
        self._mode: LifespanMode = "off" if app is None else mode
        self._startup_timeout_s = startup_timeout_s
        self._runner: LifespanRunner | None = None
        self._started: asyncio.Task[None] | None = None

    async def begin(self) -> dict[str, Any]:
        """Start it, or wait until it is started, or do nothing.

        :returns: what it left for its requests.
        :raises LifespanFailed: it did not start.
        """
        if self._mode == "off" or self._app is None:
            return {}
        if self._runner is None or self._started is None:
            self._runner = LifespanRunner(
                self._app, self._mode, startup_timeout_s=self._startup_timeout_s
            )
            self._started = asyncio.ensure_future(self._runner.startup())
        await asyncio.shield(self._started)
        return self._runner.state

    async def end(self, timeout_s: float) -> None:
        """Shut it down, if it has started. A server may start it once more.

        :raises LifespanFailed: its shutdown failed.
        """
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.shutdown(timeout_s)


def path_info(scope: Scope) -> str:
    """What is below the mount point, as Django's ``ASGIRequest`` finds it."""
    path: str = scope["path"]
    root = (scope.get("root_path") or "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :]
    return path


def _mounted_at(script_name: str, scope: Scope) -> Scope:
    """A copy of the scope, as if the mount point were ``script_name``.

    What the server has put in front of ``path`` is replaced, and what a proxy has taken off is put
    back. ``raw_path`` stays what was sent.
    """
    path = path_info(scope)
    script_name = script_name.rstrip("/")
    if path != scope["path"] or not (path + "/").startswith(script_name + "/"):
        path = script_name + path
    return {**scope, "root_path": script_name, "path": path}


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    logger.warning(
        "refused the WebSocket %s: get_asgi_application() was given no websocket= app",
        scope["path"],
    )
    await send({"type": "websocket.close", "code": 1000, "reason": "not a WebSocket"})

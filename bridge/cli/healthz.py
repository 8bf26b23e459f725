"""``--healthz PATH``: bridge answers ``GET PATH/live`` and ``GET PATH/ready`` before the app.

``live`` is 200 as long as the process answers at all. ``ready`` is 503 while requests should go
elsewhere: while the app starts, from SIGTERM on, and when the process has lost so many threads that
it should be replaced. The bodies are one line of text. On an ASGI server, the answer comes from the
event loop and waits for no worker thread; on a WSGI server, from one of its threads.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

from bridge._http.answers import asgi_answer, send_answer, wsgi_answer
from bridge._http.paths import native
from bridge._threads.health import degraded
from bridge._threads.own_tasks import own_task
from bridge._threads.server_loop import server_loop
from bridge.cli.drain import stop_is_announced
from bridge.router.router import Router
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["Health", "healthz_asgi", "healthz_wsgi", "is_check"]

logger = logging.getLogger("bridge.health")

_METHODS = ("GET", "HEAD")


@dataclass
class Health:
    """Whether this process is ready.

    :ivar app: what is served. A Router on a server that sends no lifespan is started by the first
        check, as it would be by the first request.
    :ivar sends_lifespan: whether the server sends a lifespan.
    """

    app: Any
    sends_lifespan: bool
    is_starting: bool = False
    _start: Any = None

    def reason(self) -> str | None:
        """Why it is not ready; None if it is."""
        if stop_is_announced():
            return "the server is shutting down"
        if self.is_starting:
            return "the app is starting"
        return degraded()

    def start(self) -> None:
        """On a server that sends no lifespan, on its event loop: start the app if it has not."""
        app = self.app
        if self.sends_lifespan or not isinstance(app, Router):
            return
        self.is_starting = not app.has_started
        if self.is_starting and self._start is None:
            self._start = own_task(_start(app), server_loop(), name="bridge-start")


async def _start(app: Router) -> None:
    try:
        await app.start_on_asgi()
    except Exception:
        logger.exception("the app did not start")


def is_check(path: str, method: object, target: object) -> bool:
    """Whether a request of a WSGI server is a health check.

    :param path: below which they are answered.
    :param target: the request's path, as ``PATH_INFO``.
    """
    return target in _kinds(native(path)) and method in _METHODS


def _kinds(path: str) -> dict[object, str]:
    return {path + kind: kind for kind in ("/live", "/ready")}


def _answer(health: Health, kind: str) -> tuple[int, str]:
    reason = None if kind == "/live" else health.reason()
    return (200, "ok\n") if reason is None else (503, f"{reason}\n")


def healthz_asgi(app: AsgiApp, path: str | None, health: Health) -> AsgiApp:
    """``app``, with the answers to health checks below ``path`` in front of it."""
    if path is None:
        return app
    kinds = _kinds(path)

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return _watch(app, health, scope, receive, send)
        if scope["type"] == "http" and scope["path"] in kinds and scope["method"] in _METHODS:
            health.start()
            status, text = _answer(health, kinds[scope["path"]])
            answer = asgi_answer(status, text, method=scope["method"])
            return send_answer(send, answer, logger)
        return app(scope, receive, send)

    return asgi


async def _watch(app: AsgiApp, health: Health, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a lifespan on; until its startup is complete, or the app has none, it is starting."""
    health.is_starting = True

    async def watched_send(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            health.is_starting = False
        await send(message)

    try:
        await app(scope, receive, watched_send)
    finally:
        health.is_starting = False


def healthz_wsgi(app: WsgiApp, path: str | None, health: Health) -> WsgiApp:
    """``app``, with the answers to health checks below ``path`` in front of it."""
    if path is None:
        return app
    kinds = _kinds(native(path))

    def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        kind = kinds.get(environ.get("PATH_INFO", ""))
        if kind is None or method not in _METHODS:
            return app(environ, start_response)
        status, text = _answer(health, kind)
        return wsgi_answer(start_response, status, text, method=method)

    return wsgi

"""The app that answers a scrape, for servers of both interfaces.

Input: a GET or HEAD request, at any path. Output: the metrics in the format that its ``Accept``
asks for, of Prometheus or OpenMetrics. The text is made on a thread of its own: on an event loop it
would delay other requests by some milliseconds.
"""

from __future__ import annotations

import logging
from asyncio import get_running_loop, wrap_future
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder

from bridge._http.answers import asgi_answer, close_websocket, send_answer, wsgi_answer
from bridge._http.response_heads import status_line
from bridge._threads.loop_inbox import inbox_of
from bridge._threads.own_threads import OwnThread
from bridge.dual import Universal
from bridge.metrics.process_metrics import ProcessMetrics, process_metrics
from bridge.types import Environ, Receive, Scope, Send, StartResponse

__all__ = ["Exposition", "metrics_app"]

T = TypeVar("T")

logger = logging.getLogger("bridge.metrics")

_NOT_ALLOWED = "Only GET and HEAD\n"
_METHODS = ("GET", "HEAD")


def metrics_app(registry: CollectorRegistry = REGISTRY) -> Universal:
    """An app of both interfaces that shows the metrics of bridge and of the app.

    >>> app = bridge.Router({"/": site, "/metrics": metrics_app()})  # doctest: +SKIP

    Starts to measure in this process. It answers at every path, without authentication: mount it
    where only Prometheus can reach it.

    :param registry: where the app's own metrics are; by default that of prometheus-client. Where
        ``PROMETHEUS_MULTIPROC_DIR`` is set, the metrics of all processes are shown, and this has
        no effect.
    """
    exposition = Exposition(process_metrics(registry), registry)
    return Universal(exposition.asgi, exposition.wsgi)


class Exposition:
    """Makes the text of a scrape.

    :param metrics: of this process.
    :param registry: collects them, unless they are those of several processes.
    """

    def __init__(self, metrics: ProcessMetrics, registry: CollectorRegistry) -> None:
        self._metrics = metrics
        self._registry = registry

    def text(self, accept: str) -> tuple[str, bytes]:
        """The content type and the body. From any thread; takes some milliseconds.

        :param accept: the request's ``Accept``.
        """
        encode, content_type = _encoder(accept)
        shared = self._metrics.shared
        if shared is None:
            return content_type, encode(self._registry)
        self._metrics.measuring.tick()
        with shared.turn():
            return content_type, encode(shared.registry())

    def wsgi(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            return wsgi_answer(
                start_response, 405, _NOT_ALLOWED, headers=[("allow", ", ".join(_METHODS))]
            )
        content_type, body = self.text(environ.get("HTTP_ACCEPT", ""))
        headers = [("content-type", content_type), ("content-length", str(len(body)))]
        start_response(status_line(200), headers)
        return [] if method == "HEAD" else [body]

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        inbox_of(get_running_loop())  # from now on it is among those that are measured
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send(close_websocket("not a WebSocket"))
        elif scope["method"] not in _METHODS:
            await send_answer(send, asgi_answer(405, _NOT_ALLOWED), logger)
        else:
            await self._answer(scope, send)

    async def _answer(self, scope: Scope, send: Send) -> None:
        accept = b", ".join(value for name, value in scope["headers"] if name == b"accept")
        content_type, body = await _on_own_thread(lambda: self.text(accept.decode("latin-1")))
        headers = [
            (b"content-type", content_type.encode("ascii")),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """prometheus-client's choice. It raises various errors for versions that it cannot parse."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError, LookupError):
        return choose_encoder("")


async def _on_own_thread(call: Callable[[], T]) -> T:
    """Call something on a new thread: one that others share may be busy, most of all when metrics
    are needed.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    OwnThread(target=run, name="bridge-scrape", daemon=True).start()
    return await wrap_future(outcome)


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return

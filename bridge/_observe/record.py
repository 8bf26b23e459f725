"""The record of one request, and who gets it. Pure; see each method for its thread.

A middleware (`asgi`, `wsgi`) makes the record when the request arrives. It travels as
``scope["bridge.request"]`` and ``environ["bridge.request"]``, across the adapters too, which add
what only they know. The observers get it twice: when the request has started, and when it has
ended, exactly once each.

Rule 1. A request has one record: a middleware that finds one adds its observers to it. An observer
        that is equal to one that has it already is left out, so an access log around another writes
        one line.
Rule 2. An observer cannot fail a request: what it raises is logged.
Rule 3. Only one side at a time writes a field. ``queue_s`` and ``thread_s`` belong to the adapter,
        the others to the middleware.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar, Token
from itertools import count
from time import monotonic
from typing import Literal, Protocol

from bridge._repeated_log import RepeatedLog

__all__ = ["RECORD", "Observer", "RequestRecord", "current_request", "enter", "leave"]

logger = logging.getLogger("bridge.observe")
repeated = RepeatedLog(logger)

RECORD = "bridge.request"
"""The key of the record in a scope or an environ."""


class Observer(Protocol):
    """Gets the record of each request, on the thread that serves it. Must not block: on ASGI
    servers that is the event loop thread."""

    def started(self, record: RequestRecord) -> None:
        """The request has arrived; the app has not been called."""

    def ended(self, record: RequestRecord) -> None:
        """The request is over, and no field changes any more."""


class RequestRecord:
    """What is known of one HTTP request or WebSocket. Times are in seconds.

    :ivar kind: ``"http"`` or ``"websocket"``.
    :ivar method: as the client sent it; ``GET`` for a WebSocket.
    :ivar path: decoded, with the prefix that the app is mounted at, without the query. Any text
        that a client may send: escape it where it is shown.
    :ivar client: the address of the peer, without its port; None on a Unix socket.
    :ivar request_id: letters, digits and ``-_.:/+=@``; None unless the middleware assigns ids.
    :ivar arrived_at: ``time.monotonic()`` when the server called the app.
    :ivar proxy_wait_s: how long the request has waited in front of the server, by the proxy's
        ``X-Request-Start``; 0 where that is not read.
    :ivar queue_s: how long the request has waited in an adapter: for a worker thread
        (:class:`~bridge.WsgiToAsgi`), or for the event loop to call the app
        (:class:`~bridge.AsgiToWsgi`). None if it has not crossed an adapter, or still waits.
    :ivar thread_s: how long it has occupied a thread: the worker thread of an adapter, or the
        server thread of a WSGI server, until ``close()`` of the response. None if it has not, or
        still does.
    :ivar status: of the response, as a number; None if none has begun. 500 if the app raised before
        that, since servers answer so. 101 for a WebSocket that is accepted, 403 for one that is
        closed before.
    :ivar received_bytes: of the request body, as far as the app, or the adapter that buffers it
        for the app, has read it; of a WebSocket, of the messages from the client.
    :ivar sent_bytes: of the response body, as far as the server has taken it; of a WebSocket, of
        the messages to the client. Without headers, framing and content codings of a proxy.
    :ivar sends_timing: whether the response gets a ``Server-Timing``.
    :ivar disconnected: the client has disconnected, or the server given up, before the response was
        complete; of a WebSocket, without a closing handshake, where the server reports that (1006).
    :ivar error: the name of the class of the exception that the app raised to its server. None if
        the exception only reports the disconnect.
    :ivar total_s: from arrival until the end of the request; None before that.
    """

    __slots__ = (
        "_observers",
        "_parts",
        "_thread_since",
        "_waits_since",
        "arrived_at",
        "client",
        "disconnected",
        "error",
        "kind",
        "method",
        "path",
        "proxy_wait_s",
        "queue_s",
        "received_bytes",
        "request_id",
        "sends_timing",
        "sent_bytes",
        "status",
        "thread_s",
        "total_s",
    )

    def __init__(
        self, kind: Literal["http", "websocket"], *, method: str, path: str, client: str | None
    ) -> None:
        self.kind = kind
        self.method = method
        self.path = path
        self.client = client
        self.request_id: str | None = None
        self.arrived_at = monotonic()
        self.proxy_wait_s = 0.0
        self.queue_s: float | None = None
        self.thread_s: float | None = None
        self.status: int | None = None
        self.received_bytes = 0
        self.sends_timing = False
        self.sent_bytes = 0
        self.disconnected = False
        self.error: str | None = None
        self.total_s: float | None = None
        self._observers: Sequence[Observer] = ()
        self._parts: Iterator[int] | None = None
        self._thread_since: float | None = None
        self._waits_since = 0.0

    @property
    def waited_s(self) -> float | None:
        """How long it has waited before the app was called: ``queue_s`` and ``proxy_wait_s``
        together. None if neither is known."""
        if self.queue_s is None:
            return self.proxy_wait_s or None
        return self.queue_s + self.proxy_wait_s

    # -- the middleware -------------------------------------------------------------------------

    def start(self, observers: Sequence[Observer]) -> None:
        """Call these observers now, and when the request ends. Before the app is called.

        :param observers: all different.
        """
        if self._observers:
            observers = [each for each in observers if each not in self._observers]
            self._observers = [*self._observers, *observers]
        else:  # mostly
            self._observers = observers
        for observer in observers:
            try:
                observer.started(self)
            except Exception:
                repeated.exception("an observer of requests failed in started()")

    def end(self) -> None:
        """The part of the request that the caller serves is over."""
        if self._parts is not None and next(self._parts) < 2:  # next() is atomic
            return
        if self._thread_since is not None:
            self.thread_ends()
        self.total_s = monotonic() - self.arrived_at
        for observer in self._observers:
            try:
                observer.ended(self)
            except Exception:
                repeated.exception("an observer of requests failed in ended()")

    def has_failed(self, error: BaseException) -> None:
        """The app, or its adapter, has raised this to the server."""
        if type(error).__name__ == "ClientDisconnected":  # of bridge, or of waitress
            self.disconnected = True
            return
        if self.disconnected and isinstance(error, OSError):
            return
        self.error = type(error).__name__
        if self.status is None and isinstance(error, Exception) and not self.disconnected:
            self.status = 500

    # -- adapters -------------------------------------------------------------------------------

    def split(self) -> None:
        """The request goes on beside the server's response, on no thread: :meth:`end` is called
        twice, from any thread, and only the second call ends it. At most once for a request."""
        self._parts = count(1)
        self.thread_ends()

    def waits(self) -> None:
        """It is posted to the event loop."""
        self._waits_since = monotonic()

    def is_served(self, waited_since: float | None = None) -> None:
        """It waits no more.

        :param waited_since: ``time.monotonic()`` when it began to, if not at :meth:`waits`.
        """
        since = self._waits_since if waited_since is None else waited_since
        self.queue_s = (self.queue_s or 0.0) + monotonic() - since

    def thread_starts(self, waited_since: float | None = None) -> None:
        """It occupies a thread from now on. On that thread.

        :param waited_since: ``time.monotonic()`` when it began to wait for one.
        """
        self._thread_since = now = monotonic()
        if waited_since is not None:
            self.queue_s = (self.queue_s or 0.0) + now - waited_since

    def thread_ends(self) -> None:
        """The thread is free."""
        since, self._thread_since = self._thread_since, None
        if since is not None and self.total_s is None:
            self.thread_s = (self.thread_s or 0.0) + monotonic() - since

    def thread_until(self, now: float) -> float | None:
        """As ``thread_s``, with the time of a thread that it still occupies."""
        since = self._thread_since
        return self.thread_s if since is None else (self.thread_s or 0.0) + now - since


# -- the current request ---------------------------------------------------------------------------

_current: ContextVar[RequestRecord | None] = ContextVar("bridge.request", default=None)


def current_request() -> RequestRecord | None:
    """The record of the request that this code serves; None outside of one that is observed.

    In the app and in what it calls, also on worker threads and in tasks that it starts.
    """
    return _current.get()


def enter(record: RequestRecord) -> Token[RequestRecord | None]:
    """Make ``record`` the current one of this context.

    :returns: for :func:`leave`.
    """
    return _current.set(record)


def leave(record: RequestRecord, token: Token[RequestRecord | None]) -> None:
    """Undo :func:`enter`: a variable that was not set is not set again. A context with variables
    costs each later request on its thread something. In another context, which a server may close
    a response in, there is nothing to undo."""
    if _current.get() is record:
        try:
            _current.reset(token)
        except ValueError:  # a copy of the context
            _current.set(None)

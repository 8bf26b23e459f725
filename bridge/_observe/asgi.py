"""The record of a request to an ASGI app. Runs on the event loop thread of the server.

Wraps ``receive`` and ``send``: counts bytes, notes the status, adds headers to the response. The
app and the server see each message at the same moment as without it.
"""

from __future__ import annotations

from bridge._observe.crossings import is_counted
from bridge._observe.record import RECORD, RequestRecord, enter, leave
from bridge._observe.settings import Settings, added_headers, has_id, proxy_wait_s, request_id_of
from bridge._observe.sizes import size_of, size_of_file
from bridge.types import AsgiApp, Message, RawHeaders, Receive, Scope, Send

__all__ = ["ObservedAsgi"]

_NORMAL_CLOSES = (1000, 1001, 1005)
"""A closing handshake took place, with these codes or without one (RFC 6455, 7.4.1)."""


class ObservedAsgi:
    """An ASGI 3 app whose requests are recorded.

    :param app: is called with each scope. For a lifespan, nothing is done.
    """

    __bridge_interface__ = "asgi"

    def __init__(self, app: AsgiApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self._reads_headers = settings.reads_headers

    def __repr__(self) -> str:
        return f"observe({self.app!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        kind = scope["type"]
        if (kind != "http" and kind != "websocket") or (
            self.settings.skips_counted and is_counted(scope)
        ):
            await self.app(scope, receive, send)
            return
        record: RequestRecord | None = scope.get(RECORD)
        if record is not None:
            scope = {**scope}
            if self._reads_headers:
                self._read_headers(scope, record)
            record.start(self.settings.observers)
            await self.app(scope, receive, send)
            return
        client = scope.get("client")
        record = RequestRecord(
            kind,
            method=scope["method"] if kind == "http" else "GET",
            path=scope["path"],
            client=client[0] or None if client else None,
        )
        scope = {**scope, RECORD: record}
        if self._reads_headers:
            self._read_headers(scope, record)
        exchange = _Exchange(record, receive, send)
        token = enter(record)
        try:
            record.start(self.settings.observers)
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.has_failed(error)
            raise
        finally:
            record.end()
            leave(record, token)

    def _read_headers(self, scope: Scope, record: RequestRecord) -> None:
        """Set what another middleware has not set already.

        :param scope: gets the id, too.
        """
        settings = self.settings
        if settings.server_timing:
            record.sends_timing = True
        if settings.request_start and not record.proxy_wait_s:
            for name, value in scope["headers"]:
                if name == b"x-request-start":
                    record.proxy_wait_s = proxy_wait_s(value.decode("latin-1"))
        if settings.request_id and record.request_id is None:
            given = [value for name, value in scope["headers"] if name == b"x-request-id"]
            text = given[0].decode("latin-1") if len(given) == 1 else None
            record.request_id = own = request_id_of(text)
            if own != text:
                headers = [each for each in scope["headers"] if each[0] != b"x-request-id"]
                scope["headers"] = [*headers, (b"x-request-id", own.encode("ascii"))]


class _Exchange:
    """The ``receive`` and ``send`` of one request, which count what passes through them."""

    __slots__ = ("_bodyless", "_complete", "_head", "_receive", "_send", "_trailers", "record")

    def __init__(self, record: RequestRecord, receive: Receive, send: Send) -> None:
        self.record = record
        self._receive = receive
        self._send = send
        self._bodyless = False
        self._complete = False
        self._trailers = False
        self._head: RawHeaders = []

    def has_failed(self, error: BaseException) -> None:
        """The app has raised this."""
        if not (self._complete or isinstance(error, Exception)):
            self.record.disconnected = True  # cancelled: the server has given up
        self.record.has_failed(error)

    # -- receive --------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """ASGI's ``receive``."""
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            self.record.received_bytes += len(message.get("body", b""))
        elif kind == "websocket.receive":
            self.record.received_bytes += _size_of_message(message)
        elif kind == "http.disconnect":
            if not self._complete:
                self.record.disconnected = True
        elif (
            kind == "websocket.disconnect"
            and not self._complete
            and message.get("code", 1005) not in _NORMAL_CLOSES
        ):
            self.record.disconnected = True
        return message

    # -- send -----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """ASGI's ``send``.

        :raises OSError: as the server's: the client has disconnected.
        """
        kind = message["type"]
        if kind == "http.response.body":
            size, last = len(message.get("body", b"")), not message.get("more_body", False)
            self._complete = self._complete or (last and not self._trailers)
        elif kind == "http.response.start":
            size, message = 0, self._started(message)
        elif kind in _OTHERS:
            size, message = self._send_other(kind, message)
        else:
            size = 0
        try:
            await self._send(message)
        except OSError:
            self._complete = False
            self.record.disconnected = True
            raise
        if size and not self._bodyless:
            self.record.sent_bytes += size

    def _started(self, message: Message, status: int | None = None) -> Message:
        """The message that begins the response, or accepts a WebSocket."""
        record = self.record
        record.status = status = message["status"] if status is None else status
        self._bodyless = record.method == "HEAD" or status in (204, 304)
        self._head = headers = message.get("headers", ())
        self._trailers = bool(message.get("trailers", False))
        if record.request_id is None and not record.sends_timing:
            return message
        headers = [*headers]  # ASGI allows an iterator
        more = added_headers(record, has_id(headers))
        added = [(name.encode("ascii"), value.encode("ascii")) for name, value in more]
        return {**message, "headers": [*headers, *added]}

    def _send_other(self, kind: str, message: Message) -> tuple[int, Message]:
        """The number of bytes that a message sends, and what is passed on."""
        if kind == "websocket.send":
            return _size_of_message(message), message
        if kind == "websocket.accept":
            return 0, self._started(message, 101)
        if kind == "websocket.http.response.start":
            return 0, self._started(message)
        if kind == "websocket.close":
            self._complete = True
            if self.record.status is None:
                self.record.status = 403
            return 0, message
        if kind == "websocket.http.response.body":
            self._complete = not message.get("more_body", False)
            return len(message.get("body", b"")), message
        if kind == "http.response.trailers":
            self._complete = not message.get("more_trailers", False)
            return 0, message
        self._complete = not (message.get("more_body", False) or self._trailers)
        return size_of_file(message, self._head), message


_OTHERS = frozenset(
    (
        "http.response.pathsend",
        "http.response.trailers",
        "http.response.zerocopysend",
        "websocket.accept",
        "websocket.close",
        "websocket.http.response.body",
        "websocket.http.response.start",
        "websocket.send",
    )
)


def _size_of_message(message: Message) -> int:
    text = message.get("text")
    return size_of((message.get("bytes") or b"") if text is None else text)

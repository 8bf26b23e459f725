"""An ASGI server without a network: runs an app in this process and checks each message it sends.

Input: a scope and body messages, as a server would send them. Output: every message of the app, in
order, checked against the specification. The app runs as a task on the test's event loop.

:func:`call` sends a request and returns the response. With :class:`Exchange` a test sends the body
in pieces, stops reading the response, and disconnects. After a disconnect, a server's ``send``
either raises (Starlette's test client, gunicorn, hypercorn over HTTP/2) or does nothing, so that
only ``receive`` reports it (uvicorn, daphne, granian); ``send_after_disconnect`` selects which.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal

from bridge.types import AsgiApp, Message, RawHeaders, Scope
from tests.harness.http import Response

TIMEOUT_S = 15.0
SendAfterDisconnect = Literal["raises", "silent"]


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    root_path: str = "",
    **extra: Any,
) -> Scope:
    """An ``http`` scope like uvicorn's.

    :param path: decoded, including ``root_path``.
    :param extra: keys to add or replace.
    """
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8"),
        "query_string": query,
        "root_path": root_path,
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 8000),
        "state": {},
        "extensions": {},
    }
    return {**scope, **extra}


def body_message(body: bytes = b"", *, more: bool = False) -> Message:
    """An ``http.request`` message."""
    return {"type": "http.request", "body": body, "more_body": more}


class Exchange:
    """One request to an app and its response; the test acts as server and client.

    ::

        async with Exchange(app, http_scope()) as exchange:
            exchange.feed(b"all of it")
            response = await exchange.response()

    The end of the block cancels the app if it still runs.

    :ivar sent: the messages that the app has sent.
    :param send_after_disconnect: whether ``send`` raises ``OSError`` after :meth:`disconnect`, or
        does nothing.
    """

    def __init__(
        self, app: AsgiApp, scope: Scope, *, send_after_disconnect: SendAfterDisconnect = "raises"
    ) -> None:
        self.sent: list[Message] = []
        self._app = app
        self._scope = scope
        self._send_after_disconnect = send_after_disconnect
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._reading = asyncio.Event()
        self._reading.set()
        self._disconnected = asyncio.Event()
        self.task: asyncio.Task[None]

    async def __aenter__(self) -> Exchange:
        self.task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.task.cancel()
        await asyncio.wait([self.task], timeout=TIMEOUT_S)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            async with self._changed:
                self._changed.notify_all()

    # The client's side, called by the test

    def feed(self, body: bytes = b"", *, more: bool = False) -> None:
        """Send one body message."""
        self._inbox.put_nowait(body_message(body, more=more))

    def pause_reading(self) -> None:
        """Stop reading: ``send`` waits, as on a full socket buffer."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Read again: ``send`` returns at once."""
        self._reading.set()

    def disconnect(self) -> None:
        """Close the client's side. ``send`` raises or does nothing from now on."""
        self._disconnected.set()
        self._reading.set()
        self._inbox.put_nowait({"type": "http.disconnect"})

    # The response, as the test reads it

    async def wait_for_messages(self, count: int) -> list[Message]:
        """Wait until the app has sent ``count`` messages, or has returned."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count or self.task.done())
        return self.sent

    async def wait_for_body(self, size: int) -> bytes:
        """Wait until the app has sent ``size`` bytes of the body, or has returned.

        :returns: the body so far.
        """
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self._body()) >= size or self.task.done())
        return self._body()

    async def wait(self) -> None:
        """Wait for the app to return. Raises what it raised."""
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.shield(self.task)

    async def response(self) -> Response:
        """Wait for the app to return.

        :returns: the whole response.
        :raises AssertionError: the app did not complete its response.
        """
        await self.wait()
        assert self.sent, "the app sent nothing"
        assert not self.sent[-1].get("more_body", False), "the app did not complete its response"
        return self.partial_response()

    def partial_response(self) -> Response:
        """The response so far. The app must have sent ``http.response.start``."""
        start = self.sent[0]
        fields = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in start["headers"])
        return Response(start["status"], fields, self._body())

    def _body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    # The callables that the app gets

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"] == "http.disconnect":
            self._inbox.put_nowait(message)  # every further receive() returns it, too
        return message

    async def _send(self, message: Message) -> None:
        await self._reading.wait()
        if self._disconnected.is_set():
            if self._send_after_disconnect == "raises":
                raise OSError("the client has disconnected")
            return
        check_order(self.sent, message)
        async with self._changed:
            self.sent.append(message)
            self._changed.notify_all()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._inbox.put_nowait({"type": "http.disconnect"})


def check_order(sent: list[Message], message: Message) -> None:
    """Fail on a message that the specification forbids in this state or in this form."""
    kind = message["type"]
    if not sent:
        assert kind == "http.response.start", f"the first message is {kind}"
        assert type(message["status"]) is int
        check_headers(message.get("headers", []))
        return
    assert kind == "http.response.body", f"{kind} after {sent[-1]['type']}"
    assert isinstance(message.get("body", b""), bytes), f"body is {message['body']!r}"
    if len(sent) > 1:
        assert sent[-1].get("more_body", False), "a message follows a complete response"


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Fail unless headers are pairs of bytes with lower-case names (ASGI, Response Start)."""
    for name, value in headers:
        assert type(name) is bytes, f"header name {name!r} is not bytes"
        assert type(value) is bytes, f"header value {value!r} is not bytes"
        assert name == name.lower(), f"header name {name!r} is not in lower case"


async def call_async(app: AsgiApp, scope: Scope, *body: bytes) -> Response:
    """Send one request on the running loop, its body in the given pieces."""
    async with Exchange(app, scope) as exchange:
        for piece in body[:-1]:
            exchange.feed(piece, more=True)
        exchange.feed(body[-1] if body else b"")
        return await exchange.response()


def call(app: AsgiApp, scope: Scope, *body: bytes) -> Response:
    """Send one request on a new event loop. Raises what the app raises."""
    return asyncio.run(call_async(app, scope, *body))


@asynccontextmanager
async def lifespan(app: AsgiApp) -> AsyncIterator[dict[str, Any]]:
    """Run an app's lifespan around a block. Yields the lifespan state.

    :raises AssertionError: startup or shutdown failed.
    :raises TimeoutError: the app did not answer in time.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()

    async def phase(name: str) -> None:
        inbox.put_nowait({"type": f"lifespan.{name}"})
        async with asyncio.timeout(TIMEOUT_S):
            answer = await outbox.get()
        assert answer["type"] == f"lifespan.{name}.complete", answer

    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    try:
        await phase("startup")
        yield state
        await phase("shutdown")
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.shield(task)
    finally:
        task.cancel()


def raising_task_factory(loop: Any, coroutine: Any, **options: Any) -> Any:
    """For ``loop.set_task_factory``: raises, as ``asyncio.eager_task_factory`` on some uvloops."""
    coroutine.close()
    raise TypeError("the task factory of the app")


def raw_headers(*fields: tuple[str, str]) -> RawHeaders:
    """Headers in the form of a scope: lower-case names, bytes."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]

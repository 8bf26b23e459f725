"""Speaks the ASGI specification's own messages to an app in this process.

What enters: a scope and body messages, as a server would send them. What leaves: every message the
app sent, in order, checked against the specification as it comes. The app runs as a task of the
test's own event loop.

:func:`call` is one whole exchange; :class:`Exchange` lets a test feed the body piece by piece, hold
back the client's reads, and leave in either of the two ways that servers have: ``send`` raises
(Starlette's test client, gunicorn, hypercorn over HTTP/2), or ``send`` does nothing and only
``receive`` says it (uvicorn, daphne, granian).
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
Leaving = Literal["raises", "silent"]


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    root_path: str = "",
    **further: Any,
) -> Scope:
    """An ``http`` scope as uvicorn makes it; ``further`` keys replace or add.

    :param path: decoded, with ``root_path`` in front of it if there is one.
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
    return {**scope, **further}


def body_message(body: bytes = b"", *, more: bool = False) -> Message:
    """An ``http.request`` message."""
    return {"type": "http.request", "body": body, "more_body": more}


class Exchange:
    """One request to an app, with the test in the server's place.

    ::

        async with Exchange(app, http_scope()) as exchange:
            exchange.feed(b"all of it")
            response = await exchange.response()

    Leaving the block cancels the app if it still runs.

    :ivar sent: the messages that the app has sent.
    """

    def __init__(self, app: AsgiApp, scope: Scope, *, leaving: Leaving = "raises") -> None:
        self.sent: list[Message] = []
        self._app = app
        self._scope = scope
        self._leaving = leaving
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._reading = asyncio.Event()
        self._reading.set()
        self._gone = asyncio.Event()
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

    # What the test does in the client's place

    def feed(self, body: bytes = b"", *, more: bool = False) -> None:
        """Let one body message come."""
        self._inbox.put_nowait(body_message(body, more=more))

    def stall(self) -> None:
        """Read no more: ``send`` waits, as on a full socket buffer."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def leave(self) -> None:
        """The client goes away; ``send`` raises or does nothing, as this exchange was made."""
        self._gone.set()
        self._reading.set()
        self._inbox.put_nowait({"type": "http.disconnect"})

    # What the test sees

    async def until(self, count: int) -> list[Message]:
        """Wait until the app has sent so many messages, or has returned."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count or self.task.done())
        return self.sent

    async def body_so_far(self, size: int) -> bytes:
        """Wait until so many bytes of the response body have come, or the app has returned."""
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self._body()) >= size or self.task.done())
        return self._body()

    async def finished(self) -> None:
        """Wait for the app to return. Raises what it raised."""
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.shield(self.task)

    async def response(self) -> Response:
        """Wait for the app to return, and what it sent as a response.

        :raises AssertionError: it returned without completing its response.
        """
        await self.finished()
        assert self.sent, "the app sent nothing"
        assert not self.sent[-1].get("more_body", False), "the response was not completed"
        return self.partial()

    def partial(self) -> Response:
        """What the app has sent so far; there must be a head."""
        start = self.sent[0]
        fields = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in start["headers"])
        return Response(start["status"], fields, self._body())

    def _body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    # What the app is given

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"] == "http.disconnect":
            self._inbox.put_nowait(message)  # it stays disconnected, however often it asks
        return message

    async def _send(self, message: Message) -> None:
        await self._reading.wait()
        if self._gone.is_set():
            if self._leaving == "raises":
                raise OSError("the client is gone")
            return
        check_order(self.sent, message)
        async with self._changed:
            self.sent.append(message)
            self._changed.notify_all()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._inbox.put_nowait({"type": "http.disconnect"})


def check_order(sent: list[Message], message: Message) -> None:
    """Refuse a message that the specification does not allow here, or not in this form."""
    kind = message["type"]
    if not sent:
        assert kind == "http.response.start", f"first message is {kind}"
        assert type(message["status"]) is int
        check_fields(message.get("headers", []))
        return
    assert kind == "http.response.body", f"{kind} after {sent[-1]['type']}"
    assert isinstance(message.get("body", b""), bytes), f"body is {message['body']!r}"
    if len(sent) > 1:
        assert sent[-1].get("more_body", False), "a message after the response was complete"


def check_fields(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Response fields: pairs of bytes, names in lower case (ASGI, Response Start)."""
    for name, value in headers:
        assert type(name) is bytes, f"field name {name!r}"
        assert type(value) is bytes, f"field value {value!r}"
        assert name == name.lower(), f"field name {name!r} is not in lower case"


async def exchange(app: AsgiApp, scope: Scope, *body: bytes) -> Response:
    """One whole exchange on the running loop; the body comes as the given pieces."""
    async with Exchange(app, scope) as running:
        for piece in body[:-1]:
            running.feed(piece, more=True)
        running.feed(body[-1] if body else b"")
        return await running.response()


def call(app: AsgiApp, scope: Scope, *body: bytes) -> Response:
    """One whole exchange on an event loop of its own. Raises what the app raises."""
    return asyncio.run(exchange(app, scope, *body))


@asynccontextmanager
async def lifespan(app: AsgiApp) -> AsyncIterator[dict[str, Any]]:
    """Run an app's lifespan around a block, which gets its state.

    :raises AssertionError: startup or shutdown failed, or took too long.
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


def raw_headers(*fields: tuple[str, str]) -> RawHeaders:
    """Header fields as a scope has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]

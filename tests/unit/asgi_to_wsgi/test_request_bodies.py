"""Request bodies: read on the server's thread, as the app asks, and never past their end."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import bridge
from bridge.types import Message, Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, FedInput, call, environ_of
from tests.unit.asgi_to_wsgi.apps import answer, http_app, piece, read_all, start
from tests.unit.asgi_to_wsgi.conftest import Adapted

CHUNKED = {
    "HTTP_TRANSFER_ENCODING": "chunked",
    "wsgi.input_terminated": True,
    "CONTENT_TYPE": "text/plain",
}


@http_app
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, _ = await read_all(receive)
    await answer(send, body)


class Watched(io.BytesIO):
    """Remembers how it was read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int | None] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, size: int | None) -> None:
        self.asked.append(size)
        self.threads.add(threading.current_thread())

    def read(self, size: int | None = -1, /) -> bytes:
        self._note(size)
        return super().read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        self._note(size)
        return super().read(size)


class WithoutRead1:
    """What gunicorn's ``wsgi.input`` offers, at its simplest."""

    def __init__(self, watched: Watched) -> None:
        self.read = watched.read


@pytest.mark.parametrize("size", [0, 1, 100, 65536, 65537, 1_000_000])
def test_a_body_of_any_size_arrives_whole(adapted: Adapted, size: int) -> None:
    body = bytes(size)

    assert call(adapted(echo), environ_of("POST", body=body)).body == body


def test_a_request_without_a_body_never_touches_the_input(adapted: Adapted) -> None:
    watched = Watched(b"the next request")

    assert call(adapted(echo), environ_of(keys={"wsgi.input": watched})).body == b""
    assert watched.asked == []


def test_an_app_that_does_not_read_leaves_the_body_alone(adapted: Adapted) -> None:
    watched = Watched(b"x" * 100)

    @http_app
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"too large", 413)

    environ = environ_of("POST", CONTENT_LENGTH="100", keys={"wsgi.input": watched})
    response = call(adapted(refuses), environ, validate=False)

    assert response.status == 413
    assert watched.asked == []


@pytest.mark.parametrize("read1", [True, False])
def test_nothing_is_read_past_the_end(adapted: Adapted, read1: bool) -> None:
    watched = Watched(b"x" * 150 + b"the next request")
    stream = watched if read1 else WithoutRead1(watched)
    environ = environ_of("POST", CONTENT_LENGTH="150", keys={"wsgi.input": stream})

    response = call(adapted(echo, body_window=100), environ, validate=False)

    assert response.body == b"x" * 150
    assert watched.asked == [100, 50]
    assert watched.threads == {threading.current_thread()}


def test_an_app_reads_while_the_body_is_still_coming(adapted: Adapted) -> None:
    """P2, P4: the app has the first piece before the second is sent."""
    stream = FedInput()
    first_seen = threading.Event()

    @http_app
    async def eager(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        assert first == {"type": "http.request", "body": b"first", "more_body": True}
        first_seen.set()
        rest, _ = await read_all(receive)
        await answer(send, rest)

    environ = environ_of("POST", CONTENT_LENGTH="11", keys={"wsgi.input": stream})
    request = Background(call, adapted(eager), environ, validate=False)
    stream.feed(b"first")
    assert first_seen.wait(TIMEOUT_S)
    stream.feed(b"second")

    assert request.result().body == b"second"


def test_a_chunked_body_ends_where_the_server_says(adapted: Adapted) -> None:
    """P4."""
    stream = FedInput()
    seen: list[Any] = []

    @http_app
    async def collects(scope: Scope, receive: Receive, send: Send) -> None:
        body, kinds = await read_all(receive)
        seen.append(kinds)
        await answer(send, body)

    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})
    request = Background(call, adapted(collects), environ, validate=False)
    stream.feed(b"one", b"two", b"")

    assert request.result().body == b"onetwo"
    assert seen == [["http.request"] * 3]


def test_an_empty_chunked_body_is_complete_and_empty(adapted: Adapted) -> None:
    assert call(adapted(echo), environ_of("POST", keys=CHUNKED)).body == b""


@pytest.mark.parametrize("window", [1, 10, 64])
def test_the_app_gets_at_most_a_window_at_a_time(adapted: Adapted, window: int) -> None:
    sizes: list[int] = []

    @http_app
    async def measures(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await answer(send)

    call(adapted(measures, body_window=window), environ_of("POST", body=b"x" * 64))

    assert max(sizes) <= window
    assert sum(sizes) == 64


# -- bodies that end too early ---------------------------------------------------------------------


@http_app
async def tells(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the messages that it got."""
    body, kinds = await read_all(receive)
    kinds.append((await receive())["type"])
    await answer(send, " ".join([body.decode(), *kinds]).encode())


@pytest.mark.parametrize("arrived", [b"", b"four"])
def test_a_body_that_is_cut_short_is_a_disconnect_and_no_end(
    adapted: Adapted, arrived: bytes
) -> None:
    """P4. The client may have closed only its half: an app that answers is heard."""
    stream = FedInput()
    stream.feed(*filter(None, [arrived]), b"")
    environ = environ_of("POST", CONTENT_LENGTH="10", keys={"wsgi.input": stream})

    response = call(adapted(tells), environ, validate=False)

    kinds = ["http.request"] * bool(arrived) + ["http.disconnect"] * 2
    assert response.body.decode() == " ".join([arrived.decode(), *kinds])


@pytest.mark.parametrize(
    ("error", "level"),
    [(OSError("connection reset"), "DEBUG"), (ValueError("the upload is too large"), "WARNING")],
)
def test_an_error_of_the_input_is_a_disconnect(
    adapted: Adapted, caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    """A middleware that limits uploads does so by an error of its own, which has to be seen."""
    caplog.set_level("DEBUG", logger="bridge")
    stream = FedInput()
    stream.feed(b"four", error)
    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})

    response = call(adapted(tells), environ, validate=False)

    assert response.body == b"four http.request http.disconnect http.disconnect"
    assert [r.levelname for r in caplog.records if "reading wsgi.input" in r.message] == [level]


def test_an_app_that_leaves_a_cut_request_unanswered_has_done_nothing_wrong(
    adapted: Adapted,
) -> None:
    @http_app
    async def gives_up(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"

    environ = environ_of("POST", CONTENT_LENGTH="10")

    with pytest.raises(
        bridge.ClientDisconnected, match="the client disconnected before the response"
    ) as caught:
        call(adapted(gives_up), environ)

    assert caught.value.errno == 104, "servers close the connection for it, and say nothing"


def test_starlette_takes_a_cut_body_for_a_client_that_left(
    adapted: Adapted, bridge_log: Callable[[], list[str]]
) -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    app = adapted(Starlette(routes=[Route("/", endpoint, methods=["POST"])]))

    assert call(app, environ_of("POST", CONTENT_LENGTH="10")).status == 500
    app.close()
    (logged,) = bridge_log()
    assert "ClientDisconnect()" in logged


# -- receive() -------------------------------------------------------------------------------------


def test_after_the_body_receive_waits_until_the_response_is_complete(adapted: Adapted) -> None:
    heard: list[Message] = []
    listening = asyncio.Event()

    async def listen(receive: Receive) -> None:
        listening.set()
        heard.append(await receive())

    @http_app
    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        listener = asyncio.create_task(listen(receive))
        await listening.wait()
        await send(start())
        await send(piece(b"fine"))
        assert not heard
        await send(piece(more=False))
        await listener

    app = adapted(listens)
    assert call(app, environ_of()).body == b"fine"
    app.close()
    assert heard == [{"type": "http.disconnect"}]


def test_a_receive_that_is_given_up_loses_no_bytes(adapted: Adapted) -> None:
    stream = FedInput()
    given_up = threading.Event()

    @http_app
    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.ensure_future(receive())
        await asyncio.to_thread(stream.wait_for_reads, 1)
        waiting.cancel()
        given_up.set()
        body, _ = await read_all(receive)
        await answer(send, body)

    environ = environ_of("POST", CONTENT_LENGTH="4", keys={"wsgi.input": stream})
    request = Background(call, adapted(impatient), environ, validate=False)
    assert given_up.wait(TIMEOUT_S)
    stream.feed(b"four")

    assert request.result().body == b"four"


def test_two_tasks_may_receive_at_once(adapted: Adapted) -> None:
    @http_app
    async def twice(scope: Scope, receive: Receive, send: Send) -> None:
        first, second = await asyncio.gather(receive(), receive())
        assert [first["more_body"], second["more_body"]] == [True, False]
        await answer(send, first["body"] + second["body"])

    app = adapted(twice, body_window=2)

    assert call(app, environ_of("POST", body=b"four")).body == b"four"


def test_reading_and_writing_may_alternate(adapted: Adapted) -> None:
    @http_app
    async def echoes(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(piece(message["body"].upper()))
        await send(piece(more=False))

    app = adapted(echoes, body_window=3)

    assert call(app, environ_of("POST", body=b"one two three")).body == b"ONE TWO THREE"

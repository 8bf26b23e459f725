"""Request bodies: read on the server thread when the app receives, and never past their end."""

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
from bridge.errors import ClientDisconnected
from bridge.types import AsgiApp, Message, Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, FedInput, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, read_all, respond, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

CHUNKED = {
    "HTTP_TRANSFER_ENCODING": "chunked",
    "wsgi.input_terminated": True,
    "CONTENT_TYPE": "text/plain",
}


@http_app
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, _ = await read_all(receive)
    await respond(send, body)


class RecordedInput(io.BytesIO):
    """Records its reads."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.sizes: list[int | None] = []
        self.threads: set[threading.Thread] = set()

    def _record(self, size: int | None) -> None:
        self.sizes.append(size)
        self.threads.add(threading.current_thread())

    def read(self, size: int | None = -1, /) -> bytes:
        self._record(size)
        return super().read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        self._record(size)
        return super().read(size)


class WithoutRead1:
    """A ``wsgi.input`` without ``read1``, like gunicorn's."""

    def __init__(self, recorded: RecordedInput) -> None:
        self.read = recorded.read


@pytest.mark.parametrize("size", [0, 1, 100, 65536, 65537, 1_000_000])
def test_a_body_of_any_size_arrives_whole(to_wsgi: ToWsgi, size: int) -> None:
    body = bytes(size)

    assert call(to_wsgi(echo), environ_of("POST", body=body)).body == body


def test_wsgi_input_is_not_read_for_a_request_without_a_body(to_wsgi: ToWsgi) -> None:
    recorded = RecordedInput(b"the next request")

    assert call(to_wsgi(echo), environ_of(keys={"wsgi.input": recorded})).body == b""
    assert recorded.sizes == []


def test_wsgi_input_is_not_read_if_the_app_does_not_receive(to_wsgi: ToWsgi) -> None:
    recorded = RecordedInput(b"x" * 100)

    @http_app
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"too large", 413)

    environ = environ_of("POST", CONTENT_LENGTH="100", keys={"wsgi.input": recorded})
    response = call(to_wsgi(refuses), environ, validate=False)

    assert response.status == 413
    assert recorded.sizes == []


@pytest.mark.parametrize("read1", [True, False])
def test_wsgi_input_is_not_read_past_the_content_length(to_wsgi: ToWsgi, read1: bool) -> None:
    recorded = RecordedInput(b"x" * 150 + b"the next request")
    stream = recorded if read1 else WithoutRead1(recorded)
    environ = environ_of("POST", CONTENT_LENGTH="150", keys={"wsgi.input": stream})

    response = call(to_wsgi(echo, body_window=100), environ, validate=False)

    assert response.body == b"x" * 150
    assert recorded.sizes == [100, 50]
    assert recorded.threads == {threading.current_thread()}


def test_the_app_receives_the_body_while_the_client_sends_it(to_wsgi: ToWsgi) -> None:
    """P2, P4: the app receives the first part before the client sends the second."""
    stream = FedInput()
    received = threading.Event()

    @http_app
    async def eager(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        assert first == {"type": "http.request", "body": b"first", "more_body": True}
        received.set()
        rest, _ = await read_all(receive)
        await respond(send, rest)

    environ = environ_of("POST", CONTENT_LENGTH="11", keys={"wsgi.input": stream})
    request = Background(call, to_wsgi(eager), environ, validate=False)
    stream.feed(b"first")
    assert received.wait(TIMEOUT_S)
    stream.feed(b"second")

    assert request.result().body == b"second"


def test_a_chunked_body_ends_at_the_end_of_wsgi_input(to_wsgi: ToWsgi) -> None:
    """P4."""
    stream = FedInput()
    seen: list[Any] = []

    @http_app
    async def collects(scope: Scope, receive: Receive, send: Send) -> None:
        body, kinds = await read_all(receive)
        seen.append(kinds)
        await respond(send, body)

    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})
    request = Background(call, to_wsgi(collects), environ, validate=False)
    stream.feed(b"one", b"two", b"")

    assert request.result().body == b"onetwo"
    assert seen == [["http.request"] * 3]


def test_an_empty_chunked_body_is_complete(to_wsgi: ToWsgi) -> None:
    assert call(to_wsgi(echo), environ_of("POST", keys=CHUNKED)).body == b""


@pytest.mark.parametrize("window", [1, 10, 64])
def test_a_message_has_at_most_a_window_of_data(to_wsgi: ToWsgi, window: int) -> None:
    sizes: list[int] = []

    @http_app
    async def measures(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await respond(send)

    call(to_wsgi(measures, body_window=window), environ_of("POST", body=b"x" * 64))

    assert max(sizes) <= window
    assert sum(sizes) == 64


# -- truncated bodies ------------------------------------------------------------------------------


@http_app
async def return_messages(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds with the body and the types of the messages that it received."""
    body, kinds = await read_all(receive)
    kinds.append((await receive())["type"])
    await respond(send, " ".join([body.decode(), *kinds]).encode())


@pytest.mark.parametrize("arrived", [b"", b"four"])
def test_a_truncated_body_is_a_disconnect(to_wsgi: ToWsgi, arrived: bytes) -> None:
    """P4. The client may have closed only its sending side; then it gets the response."""
    stream = FedInput()
    stream.feed(*filter(None, [arrived]), b"")
    environ = environ_of("POST", CONTENT_LENGTH="10", keys={"wsgi.input": stream})

    response = call(to_wsgi(return_messages), environ, validate=False)

    kinds = ["http.request"] * bool(arrived) + ["http.disconnect"] * 2
    assert response.body.decode() == " ".join([arrived.decode(), *kinds])


def test_the_end_of_the_connection_is_a_disconnect(
    to_wsgi: ToWsgi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="bridge")
    stream = FedInput()
    stream.feed(b"four", OSError("connection reset"))
    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})

    response = call(to_wsgi(return_messages), environ, validate=False)

    assert response.body == b"four http.request http.disconnect http.disconnect"
    lines = [record for record in caplog.records if "reading wsgi.input" in record.message]
    assert [(line.levelname, line.exc_info) for line in lines] == [("DEBUG", None)]


@http_app
async def gives_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and returns at a disconnect, as Starlette does."""
    while (await receive())["type"] == "http.request":
        pass


@http_app
async def gives_up_late(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, after the beginning of its response."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    await gives_up(scope, receive, send)


async def in_starlette(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(gives_up, id="gives up"),
        pytest.param(return_messages, id="answers"),
        pytest.param(
            Starlette(routes=[Route("/", in_starlette, methods=["POST"])]), id="starlette"
        ),
    ],
)
def test_an_error_of_the_input_is_raised_to_the_server(
    to_wsgi: ToWsgi, caplog: pytest.LogCaptureFixture, app: AsgiApp
) -> None:
    """As in a native app. gunicorn answers 400 to its own error for a malformed chunk, and logs a
    line; middleware that limits uploads has an answer to its error, too. The app is disconnected.
    """
    error = ValueError("malformed chunk")
    stream = FedInput()
    stream.feed(b"four", error)
    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})
    adapter = to_wsgi(app)

    with pytest.raises(ValueError, match="malformed chunk") as raised:
        call(adapter, environ, validate=False)
    adapter.close()  # the app has ended

    assert raised.value is error
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_after_the_beginning_of_the_response_it_is_logged_in_a_line(
    to_wsgi: ToWsgi, caplog: pytest.LogCaptureFixture
) -> None:
    stream = FedInput()
    stream.feed(b"four", ValueError("malformed chunk"))
    environ = environ_of("POST", keys={**CHUNKED, "wsgi.input": stream})

    with pytest.raises(ClientDisconnected):
        call(to_wsgi(gives_up_late), environ, validate=False)

    (line,) = caplog.records
    assert "gives_up_late: reading wsgi.input raised ValueError('malformed chunk')" in line.message
    assert line.exc_info is None


def test_no_response_to_a_truncated_request_is_not_an_error_of_the_app(
    to_wsgi: ToWsgi,
) -> None:
    @http_app
    async def returns(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"

    environ = environ_of("POST", CONTENT_LENGTH="10")

    with pytest.raises(
        bridge.ClientDisconnected, match="the client disconnected before the response"
    ) as caught:
        call(to_wsgi(returns), environ)

    assert caught.value.errno == 104, "servers close the connection on this error and log nothing"


def test_starlette_raises_client_disconnect_for_a_truncated_body(
    to_wsgi: ToWsgi, bridge_log: Callable[[], list[str]]
) -> None:
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    app = to_wsgi(Starlette(routes=[Route("/", endpoint, methods=["POST"])]))

    assert call(app, environ_of("POST", CONTENT_LENGTH="10")).status == 500
    app.close()
    (logged,) = bridge_log()
    assert "ClientDisconnect()" in logged


# -- receive() -------------------------------------------------------------------------------------


def test_after_the_body_receive_waits_until_the_response_is_complete(to_wsgi: ToWsgi) -> None:
    received: list[Message] = []
    waiting = asyncio.Event()

    async def listen(receive: Receive) -> None:
        waiting.set()
        received.append(await receive())

    @http_app
    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        listener = asyncio.create_task(listen(receive))
        await waiting.wait()
        await send(start())
        await send(piece(b"fine"))
        assert not received
        await send(piece(more=False))
        await listener

    app = to_wsgi(listens)
    assert call(app, environ_of()).body == b"fine"
    app.close()
    assert received == [{"type": "http.disconnect"}]


def test_a_cancelled_receive_loses_no_data(to_wsgi: ToWsgi) -> None:
    stream = FedInput()
    cancelled = threading.Event()

    @http_app
    async def receives_twice(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.ensure_future(receive())
        await asyncio.to_thread(stream.wait_for_reads, 1)
        waiting.cancel()
        cancelled.set()
        body, _ = await read_all(receive)
        await respond(send, body)

    environ = environ_of("POST", CONTENT_LENGTH="4", keys={"wsgi.input": stream})
    request = Background(call, to_wsgi(receives_twice), environ, validate=False)
    assert cancelled.wait(TIMEOUT_S)
    stream.feed(b"four")

    assert request.result().body == b"four"


def test_two_tasks_can_receive_concurrently(to_wsgi: ToWsgi) -> None:
    @http_app
    async def twice(scope: Scope, receive: Receive, send: Send) -> None:
        first, second = await asyncio.gather(receive(), receive())
        assert [first["more_body"], second["more_body"]] == [True, False]
        await respond(send, first["body"] + second["body"])

    app = to_wsgi(twice, body_window=2)

    assert call(app, environ_of("POST", body=b"four")).body == b"four"


def test_an_app_can_alternate_receive_and_send(to_wsgi: ToWsgi) -> None:
    @http_app
    async def echoes(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(piece(message["body"].upper()))
        await send(piece(more=False))

    app = to_wsgi(echoes, body_window=3)

    assert call(app, environ_of("POST", body=b"one two three")).body == b"ONE TWO THREE"

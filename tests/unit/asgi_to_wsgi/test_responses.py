"""Responses of ASGI apps behind ``to_wsgi``: complete, streamed, files and early hints."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

import bridge
from bridge._http.sendfile import FileWrapper as OurFileWrapper
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, respond, sends, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi, run_ready_callbacks

LENGTH_4 = (b"content-length", b"4")


def test_a_complete_response_is_a_list(to_wsgi: ToWsgi) -> None:
    app = to_wsgi(sends(start(201, (b"x-a", b"1"), LENGTH_4), piece(b"fine", more=False)))
    seen: list[Any] = []

    def start_response(*head: Any) -> Any:
        seen.append(head)

    # In an empty context: variables of other tests would make the adapter return an iterator.
    assert Context().run(app, environ_of(), start_response) == [b"fine"]
    (head,) = seen
    fields = [("content-type", "text/plain"), ("x-a", "1"), ("content-length", "4")]
    assert head == ("201 Created", fields)


def test_cookies_are_not_merged(to_wsgi: ToWsgi) -> None:
    cookies = (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")

    response = call(to_wsgi(sends(start(200, *cookies), piece(more=False))), environ_of())

    assert response.header_values("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_chunks_arrive_in_order(to_wsgi: ToWsgi, pieces: int) -> None:
    messages = [piece(b"%d;" % number) for number in range(pieces)]

    response = call(to_wsgi(sends(start(), *messages, piece(more=False))), environ_of())

    assert response.body == b"".join(b"%d;" % number for number in range(pieces))


def test_the_first_chunk_is_returned_before_the_app_sends_the_second(to_wsgi: ToWsgi) -> None:
    received = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        assert await asyncio.to_thread(received.wait, TIMEOUT_S)
        await send(piece(b"second", more=False))

    with WsgiExchange(to_wsgi(http_app(stream)), environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        received.set()
        assert exchange.chunk() == b"second"
        assert exchange.chunk() == b""


def test_an_empty_first_chunk_sends_the_head(to_wsgi: ToWsgi) -> None:
    received = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(202))
        await send(piece())
        assert await asyncio.to_thread(received.wait, TIMEOUT_S)
        await send(piece(b"late", more=False))

    with WsgiExchange(to_wsgi(http_app(stream)), environ_of()) as exchange:
        assert exchange.status == "202 Accepted"
        assert next(iter(exchange)) == b""
        received.set()
        assert exchange.chunk() == b"late"


def test_waiting_chunks_are_returned_together(to_wsgi: ToWsgi) -> None:
    sent = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(5):
            await send(piece(b"%d;" % number))
        sent.set()
        await receive()
        await receive()

    with WsgiExchange(to_wsgi(http_app(stream)), environ_of()) as exchange:
        assert sent.wait(TIMEOUT_S)
        assert exchange.chunk() == b"0;1;2;3;4;"


def test_an_app_is_at_most_a_window_ahead(to_wsgi: ToWsgi) -> None:
    """P3 in the other direction: a server that does not read pauses the app."""
    sent: list[int] = []
    first = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(100):
            await send(piece(b"x" * 1000))
            sent.append(number)
            first.set()
        await send(piece(more=False))

    app = to_wsgi(http_app(stream), response_window=5000)
    with WsgiExchange(app, environ_of()) as exchange:
        assert first.wait(TIMEOUT_S)
        run_ready_callbacks(app)
        assert len(sent) <= 6
        size, chunks = len(exchange.chunk()), 1
        run_ready_callbacks(app)
        assert len(sent) * 1000 - size <= 6000, "the returned chunk still counts against the window"
        while chunk := exchange.chunk():
            size, chunks = size + len(chunk), chunks + 1

    assert size == 100_000
    assert chunks > 10


def test_a_chunk_larger_than_the_window_arrives(to_wsgi: ToWsgi) -> None:
    app = to_wsgi(sends(start(), piece(b"x" * 50_000), piece(b"y", more=False)), response_window=10)

    assert call(app, environ_of()).body == b"x" * 50_000 + b"y"


# -- responses without a body ----------------------------------------------------------------------


def test_a_response_to_head_keeps_its_content_length_and_has_no_body(to_wsgi: ToWsgi) -> None:
    app = to_wsgi(sends(start(200, LENGTH_4), piece(b"fine", more=False)))

    response = call(app, environ_of("HEAD"))

    assert (response.header("content-length"), response.body) == ("4", b"")


def test_a_streamed_response_to_head_ends_with_its_head(to_wsgi: ToWsgi) -> None:
    ended = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x" * 1000))
                await asyncio.sleep(0)
        except OSError:
            ended.set()

    response = call(to_wsgi(http_app(endless)), environ_of("HEAD"))

    assert response.body == b""
    assert ended.wait(TIMEOUT_S), "the app must stop, because its body is not read"


def test_a_complete_response_to_head_can_be_larger_than_the_window(to_wsgi: ToWsgi) -> None:
    """A FastAPI dependency would roll its transaction back if ``send`` raised."""
    ended: list[str] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 1001)
        ended.append("without an error")

    app = to_wsgi(http_app(page), response_window=1000)
    assert call(app, environ_of("HEAD")).header("content-length") == "1001"
    app.close()
    assert ended == ["without an error"]


def test_a_finite_stream_in_response_to_head_completes_without_an_error(to_wsgi: ToWsgi) -> None:
    ended: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await send(piece(b"x"))
            await asyncio.sleep(0)
        await send(piece(more=False))
        ended.append("without an error")

    app = to_wsgi(http_app(stream))
    assert call(app, environ_of("HEAD")).body == b""
    app.close()
    assert ended == ["without an error"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_bodyless_status_has_no_body(to_wsgi: ToWsgi, status: int) -> None:
    app = to_wsgi(sends(start(status, LENGTH_4), piece(b"fine", more=False)))

    response = call(app, environ_of())

    assert (response.status, response.headers, response.body) == (status, (), b"")


# -- files and other extensions --------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


@pytest.mark.parametrize("wrapper", [FileWrapper, OurFileWrapper, None])
def test_a_file_is_passed_to_the_servers_file_wrapper(
    to_wsgi: ToWsgi, file: Path, wrapper: Any
) -> None:
    app = to_wsgi(sends(start(), {"type": "http.response.pathsend", "path": str(file)}))
    environ = environ_of()
    if wrapper is not None:
        environ["wsgi.file_wrapper"] = wrapper

    result: Any = app(environ, lambda *head: lambda chunk: None)

    assert isinstance(result, wrapper or OurFileWrapper)
    assert result.filelike.fileno() > 0, "the server can use sendfile()"
    assert b"".join(result) == file.read_bytes()
    result.close()
    assert result.filelike.closed


@pytest.mark.parametrize("wrapper", [FileWrapper, OurFileWrapper])
def test_a_file_that_has_grown_ends_at_its_content_length(
    to_wsgi: ToWsgi, file: Path, wrapper: Any
) -> None:
    """Starlette reads the size for the head, and a log file grows meanwhile."""
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = to_wsgi(sends(start(200, (b"content-length", b"100000")), pathsend))

    response = call(app, environ_of(keys={"wsgi.file_wrapper": wrapper}))

    assert response.body == file.read_bytes()[:100_000]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_is_too_short_is_an_error_before_the_head(
    to_wsgi: ToWsgi, file: Path, method: str
) -> None:
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = to_wsgi(sends(start(200, (b"content-length", b"256001")), pathsend))

    with pytest.raises(bridge.AppProtocolError, match=r"file\.bin is shorter .* 1 bytes"):
        call(app, environ_of(method))


def test_an_empty_file_is_not_passed_to_the_file_wrapper(to_wsgi: ToWsgi, file: Path) -> None:
    """gunicorn would end the chunked response twice, and lose the next one on the connection."""
    file.write_bytes(b"")
    app = to_wsgi(sends(start(), {"type": "http.response.pathsend", "path": str(file)}))
    wrapped: list[Any] = []

    response = call(app, environ_of(keys={"wsgi.file_wrapper": wrapped.append}))

    assert (response.status, response.body, wrapped) == (200, b"", [])


def test_starlette_sends_files_by_their_path(to_wsgi: ToWsgi, file: Path) -> None:
    app = to_wsgi(Starlette(routes=[Route("/", lambda request: FileResponse(file))]))

    response = call(app, environ_of())

    assert response.body == file.read_bytes()
    assert response.header("content-length") == "256000"


def test_a_file_is_not_sent_in_response_to_head(to_wsgi: ToWsgi, file: Path) -> None:
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = to_wsgi(sends(start(200, (b"content-length", b"256000")), pathsend))

    response = call(app, environ_of("HEAD"))

    assert (response.header("content-length"), response.body) == ("256000", b"")


def test_a_file_with_a_bodyless_status_is_not_opened(to_wsgi: ToWsgi) -> None:
    app = to_wsgi(sends(start(304), {"type": "http.response.pathsend", "path": "/nowhere"}))

    assert call(app, environ_of()).body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_missing_file_is_an_error_before_the_head(to_wsgi: ToWsgi, method: str) -> None:
    app = to_wsgi(sends(start(), {"type": "http.response.pathsend", "path": "/nowhere"}))

    with pytest.raises(bridge.BridgeError, match=r"raised FileNotFoundError: .*/nowhere") as caught:
        call(app, environ_of(method))

    assert not isinstance(caught.value, OSError), "gunicorn sends no response for an OSError"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_app_may_send_something_else_for_a_missing_file(to_wsgi: ToWsgi, method: str) -> None:
    async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        with pytest.raises(FileNotFoundError, match="/nowhere"):
            await send({"type": "http.response.pathsend", "path": "/nowhere"})
        await send(piece(b"not there", more=False))

    response = call(to_wsgi(http_app(send_file)), environ_of(method))

    assert response.body == (b"not there" if method == "GET" else b"")


def test_the_app_may_delete_a_file_once_it_is_sent(to_wsgi: ToWsgi, file: Path) -> None:
    content = file.read_bytes()

    async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send({"type": "http.response.pathsend", "path": str(file)})
        os.unlink(file)

    assert call(to_wsgi(http_app(send_file)), environ_of()).body == content


def test_sync_code_on_the_server_thread_may_send_a_file(to_wsgi: ToWsgi, file: Path) -> None:
    """That thread cannot open the file meanwhile: it waits for ``send()``."""

    async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        message = {"type": "http.response.pathsend", "path": str(file)}
        await sync_to_async(lambda: async_to_sync(send)(message))()

    response = Background(call, to_wsgi(http_app(send_file)), environ_of()).result()

    assert response.body == file.read_bytes()


def test_nothing_is_sent_while_a_file_is_opened(to_wsgi: ToWsgi, file: Path) -> None:
    """Whatever another task sends meanwhile is refused, as after the file."""

    async def send_both(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        sending = asyncio.ensure_future(send({"type": "http.response.pathsend", "path": str(file)}))
        await asyncio.sleep(0)
        with pytest.raises(bridge.AppProtocolError, match=r"sent http\.response\.body .* complete"):
            await send(piece(b"too"))
        await sending

    assert call(to_wsgi(http_app(send_both)), environ_of()).body == file.read_bytes()


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_cancelled_file_is_closed_and_replaced(to_wsgi: ToWsgi, file: Path) -> None:
    async def send_other(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(2):
            sending = asyncio.ensure_future(
                send({"type": "http.response.pathsend", "path": str(file)})
            )
            await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await send(piece(b"something else", more=False))

    assert call(to_wsgi(http_app(send_other)), environ_of()).body == b"something else"
    assert str(file) not in open_files()


def open_files() -> set[str]:
    """The paths of all files that this process has open."""
    paths = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # another thread has closed it
            paths.add(os.readlink(f"/proc/self/fd/{number}"))
    return paths


def test_trailers_are_accepted_and_dropped(
    to_wsgi: ToWsgi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="bridge")
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    app = to_wsgi(sends(start(trailers=True), piece(b"fine", more=False), trailers))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    assert "dropped http.response.trailers, which WSGI cannot send" in caplog.text


def test_early_hints_are_sent_on_the_server_thread(to_wsgi: ToWsgi) -> None:
    hinted: list[Any] = []

    async def hints(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.early_hint" in scope["extensions"]
        links = [b"</a.css>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links})
        assert hinted, "send() must return after the hints are sent"
        await respond(send)

    def hint(headers: Any) -> None:
        hinted.append((headers, threading.current_thread()))

    response = call(to_wsgi(http_app(hints)), environ_of(keys={"wsgi.early_hints": hint}))

    assert response.body == b"fine"
    assert hinted == [([("Link", "</a.css>; rel=preload")], threading.current_thread())]


def early_hint(*links: Any) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": list(links)}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (
            early_hint(b"</a>; rel=preload\r\nSet-Cookie: evil=1"),
            "early_hint: value .* control char",
        ),
        (early_hint("</a>"), "asks for an iterable of bytes"),
        ({"type": "http.response.early_hint"}, "links is None"),
    ],
)
def test_early_hints_are_checked_like_headers(to_wsgi: ToWsgi, sent: Any, message: str) -> None:
    hinted: list[Any] = []
    app = to_wsgi(sends(sent))

    with pytest.raises(bridge.AppProtocolError, match=message):
        call(app, environ_of(keys={"wsgi.early_hints": hinted.append}))

    assert hinted == []


def test_a_broken_pipe_in_an_early_hint_is_a_disconnect(to_wsgi: ToWsgi) -> None:
    def hint(headers: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    app = to_wsgi(sends(early_hint(b"</a>")))

    with pytest.raises(bridge.ClientDisconnected):
        call(app, environ_of(keys={"wsgi.early_hints": hint}))


def test_an_early_hint_of_a_closed_response_is_dropped(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may serve the next request already."""
    response_started = threading.Event()
    hinted: list[Any] = []

    @http_app
    async def hints(scope: Scope, receive: Receive, send: Send) -> None:
        hinting = asyncio.ensure_future(send(early_hint(b"</a>")))
        await asyncio.sleep(0)  # the hint waits for the server thread
        await send(start())
        await send(piece(b"first"))
        response_started.set()
        await hinting

    def watch_client(environ: Any) -> None:
        assert response_started.wait(TIMEOUT_S)  # until the response has started

    monkeypatch.setattr("bridge.asgi_to_wsgi.thread_side.watch_client", watch_client)
    adapter = to_wsgi(hints)
    environ = environ_of(keys={"wsgi.early_hints": hinted.append})
    response = adapter(environ, lambda *head: lambda chunk: None)
    assert next(iter(response)) == b"first"
    del response
    adapter.close()

    assert hinted == []


def test_another_task_can_start_the_response_during_an_early_hint(to_wsgi: ToWsgi) -> None:
    response_started = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        hinting = asyncio.ensure_future(send(early_hint(b"</a>")))
        await asyncio.sleep(0)  # the hint waits for the server thread
        await send(start())
        response_started.set()
        await hinting
        await send(piece(b"fine", more=False))

    def hint(headers: Any) -> None:
        assert response_started.wait(TIMEOUT_S)

    environ = environ_of(keys={"wsgi.early_hints": hint})
    assert call(to_wsgi(http_app(app)), environ).body == b"fine"


# -- frameworks ------------------------------------------------------------------------------------


def test_a_response_ends_before_its_background_work(to_wsgi: ToWsgi) -> None:
    """P15."""
    release = threading.Event()
    done: list[str] = []

    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)
        assert await asyncio.to_thread(release.wait, TIMEOUT_S)
        assert (await receive())["type"] == "http.disconnect"
        done.append("background work")

    app = to_wsgi(http_app(works))
    assert call(app, environ_of()).body == b"fine"
    assert not done
    release.set()
    app.close()
    assert done == ["background work"]


def test_requests_run_concurrently(to_wsgi: ToWsgi) -> None:
    """P6 in the other direction: as many as the server has threads."""
    count = 8
    started: list[int] = []
    all_started = asyncio.Event()

    async def wait_for_all(scope: Scope, receive: Receive, send: Send) -> None:
        started.append(len(started))
        if len(started) == count:
            all_started.set()
        async with asyncio.timeout(TIMEOUT_S):
            await all_started.wait()
        await respond(send)

    app = to_wsgi(http_app(wait_for_all))
    requests = [Background(call, app, environ_of()) for _ in range(count)]

    assert [request.result().body for request in requests] == [b"fine"] * count


def test_starlette_can_stream(to_wsgi: ToWsgi) -> None:
    async def numbers() -> Any:
        for number in range(3):
            yield f"{number};"
            await asyncio.sleep(0)

    def endpoint(request: Request) -> Response:
        return StreamingResponse(numbers(), media_type="text/plain")

    app = to_wsgi(Starlette(routes=[Route("/", endpoint)]))

    assert call(app, environ_of()).body == b"0;1;2;"


HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("Sec-WebSocket-Version", "13"),
)


def test_a_websocket_without_a_raw_socket_is_refused_with_501_and_advice(to_wsgi: ToWsgi) -> None:
    response = call(to_wsgi(sends()), environ_of(headers=HANDSHAKE))

    assert response.status == 501
    assert b"--server uvicorn" in response.body
    assert response.header("upgrade") is None, "PEP 3333 forbids hop-by-hop headers of an app"


def test_a_websocket_is_refused_with_426_if_they_are_off(to_wsgi: ToWsgi) -> None:
    response = call(to_wsgi(sends(), websockets="off"), environ_of(headers=HANDSHAKE))

    assert (response.status, response.body) == (426, b"WebSockets are not served here\n")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_upgrade_that_is_not_a_handshake_reaches_the_app(to_wsgi: ToWsgi, method: str) -> None:
    headers = (("Upgrade", "websocket"), ("Connection", "close" if method == "GET" else "Upgrade"))
    app = to_wsgi(sends(start(), piece(more=False)))

    assert call(app, environ_of(method, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"CONTENT_LENGTH": "x"}, 400),
        ({"CONTENT_LENGTH": "-5"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
    ],
)
def test_a_body_without_a_known_end_never_reaches_the_app(
    to_wsgi: ToWsgi, keys: dict[str, Any], status: int
) -> None:
    response = call(to_wsgi(sends()), environ_of("POST", **keys), validate=False)

    assert response.status == status

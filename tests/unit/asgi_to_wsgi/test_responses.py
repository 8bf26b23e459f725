"""Responses of ASGI apps as PEP 3333 has them: whole ones, streamed ones, files."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

import bridge
from bridge._http.sendfile import FileWrapper as OurFileWrapper
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import answer, http_app, piece, sends, start
from tests.unit.asgi_to_wsgi.conftest import Adapted

LENGTH_4 = (b"content-length", b"4")


def test_an_ordinary_response_is_a_list_of_its_body(adapted: Adapted) -> None:
    app = adapted(sends(start(201, (b"x-a", b"1"), LENGTH_4), piece(b"fine", more=False)))
    seen: list[Any] = []

    def start_response(*head: Any) -> Any:
        seen.append(head)

    # In a context of its own: what other tests have left in this one makes it less ordinary.
    assert Context().run(app, environ_of(), start_response) == [b"fine"]
    (head,) = seen
    fields = [("content-type", "text/plain"), ("x-a", "1"), ("content-length", "4")]
    assert head == ("201 Created", fields)


def test_cookies_stay_apart(adapted: Adapted) -> None:
    cookies = (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")

    response = call(adapted(sends(start(200, *cookies), piece(more=False))), environ_of())

    assert response.header_values("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_body_sent_in_pieces_arrives_in_order(adapted: Adapted, pieces: int) -> None:
    messages = [piece(b"%d;" % number) for number in range(pieces)]

    response = call(adapted(sends(start(), *messages, piece(more=False))), environ_of())

    assert response.body == b"".join(b"%d;" % number for number in range(pieces))


def test_the_first_byte_goes_out_before_the_second_is_made(adapted: Adapted) -> None:
    taken = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        assert await asyncio.to_thread(taken.wait, TIMEOUT_S)
        await send(piece(b"second", more=False))

    with WsgiExchange(adapted(http_app(stream)), environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        taken.set()
        assert exchange.chunk() == b"second"
        assert exchange.chunk() == b""


def test_an_empty_first_piece_lets_the_head_go_out(adapted: Adapted) -> None:
    taken = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(202))
        await send(piece())
        assert await asyncio.to_thread(taken.wait, TIMEOUT_S)
        await send(piece(b"late", more=False))

    with WsgiExchange(adapted(http_app(stream)), environ_of()) as exchange:
        assert exchange.status == "202 Accepted"
        assert next(iter(exchange)) == b""
        taken.set()
        assert exchange.chunk() == b"late"


def test_pieces_that_wait_go_out_together(adapted: Adapted) -> None:
    sent = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(5):
            await send(piece(b"%d;" % number))
        sent.set()
        await receive()
        await receive()

    with WsgiExchange(adapted(http_app(stream)), environ_of()) as exchange:
        assert sent.wait(TIMEOUT_S)
        assert exchange.chunk() == b"0;1;2;3;4;"


def test_an_app_is_at_most_a_window_ahead(adapted: Adapted) -> None:
    """P3's counterpart: a server that takes nothing stops the app."""
    sent: list[int] = []
    first = threading.Event()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(100):
            await send(piece(b"x" * 1000))
            sent.append(number)
            first.set()
        await send(piece(more=False))

    app = adapted(http_app(stream), response_window=5000)
    with WsgiExchange(app, environ_of()) as exchange:
        assert first.wait(TIMEOUT_S)
        loops_turn(app)
        assert len(sent) <= 6
        size, turns = len(exchange.chunk()), 1
        loops_turn(app)
        assert len(sent) * 1000 - size <= 6000, "what the server works on is not taken yet"
        while chunk := exchange.chunk():
            size, turns = size + len(chunk), turns + 1

    assert size == 100_000
    assert turns > 10


def loops_turn(app: Any) -> None:
    """Let the app's event loop do all that it can do now."""

    async def turns() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    app.start().thread.submit(turns()).result(TIMEOUT_S)


def test_one_piece_larger_than_the_window_goes_through(adapted: Adapted) -> None:
    app = adapted(sends(start(), piece(b"x" * 50_000), piece(b"y", more=False)), response_window=10)

    assert call(app, environ_of()).body == b"x" * 50_000 + b"y"


# -- responses without a body ----------------------------------------------------------------------


def test_the_response_to_head_keeps_its_length_and_has_no_body(adapted: Adapted) -> None:
    app = adapted(sends(start(200, LENGTH_4), piece(b"fine", more=False)))

    response = call(app, environ_of("HEAD"))

    assert (response.header("content-length"), response.body) == ("4", b"")


def test_a_streamed_response_to_head_is_over_with_its_head(adapted: Adapted) -> None:
    ended = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x" * 1000))
                await asyncio.sleep(0)
        except OSError:
            ended.set()

    response = call(adapted(http_app(endless)), environ_of("HEAD"))

    assert response.body == b""
    assert ended.wait(TIMEOUT_S), "nobody will ever read it: the app has to stop"


def test_a_whole_page_in_answer_to_head_may_be_larger_than_the_window(adapted: Adapted) -> None:
    """A FastAPI dependency would roll its transaction back if ``send`` raised."""
    ended: list[str] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"x" * 1001)
        ended.append("in peace")

    app = adapted(http_app(page), response_window=1000)
    assert call(app, environ_of("HEAD")).header("content-length") == "1001"
    app.close()
    assert ended == ["in peace"]


def test_an_app_that_streams_to_head_may_end_in_peace(adapted: Adapted) -> None:
    ended: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await send(piece(b"x"))
            await asyncio.sleep(0)
        await send(piece(more=False))
        ended.append("in peace")

    app = adapted(http_app(stream))
    assert call(app, environ_of("HEAD")).body == b""
    app.close()
    assert ended == ["in peace"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(adapted: Adapted, status: int) -> None:
    app = adapted(sends(start(status, LENGTH_4), piece(b"fine", more=False)))

    response = call(app, environ_of())

    assert (response.status, response.headers, response.body) == (status, (), b"")


# -- files and other extensions --------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    return path


@pytest.mark.parametrize("wrapper", [FileWrapper, OurFileWrapper, None])
def test_a_file_goes_to_the_servers_file_wrapper(
    adapted: Adapted, file: Path, wrapper: Any
) -> None:
    app = adapted(sends(start(), {"type": "http.response.pathsend", "path": str(file)}))
    environ = environ_of()
    if wrapper is not None:
        environ["wsgi.file_wrapper"] = wrapper

    result: Any = app(environ, lambda *head: lambda chunk: None)

    assert isinstance(result, wrapper or OurFileWrapper)
    assert result.filelike.fileno() > 0, "a server can send it without reading it"
    assert b"".join(result) == file.read_bytes()
    result.close()
    assert result.filelike.closed


@pytest.mark.parametrize("wrapper", [FileWrapper, OurFileWrapper])
def test_a_file_that_has_grown_ends_with_its_content_length(
    adapted: Adapted, file: Path, wrapper: Any
) -> None:
    """Starlette takes its size when it makes the head; a log goes on."""
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = adapted(sends(start(200, (b"content-length", b"100000")), pathsend))

    response = call(app, environ_of(keys={"wsgi.file_wrapper": wrapper}))

    assert response.body == file.read_bytes()[:100_000]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_is_too_short_is_an_error_before_the_head(
    adapted: Adapted, file: Path, method: str
) -> None:
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = adapted(sends(start(200, (b"content-length", b"256001")), pathsend))

    with pytest.raises(bridge.AppProtocolError, match=r"file\.bin is shorter .* 1 bytes"):
        call(app, environ_of(method))


def test_an_empty_file_is_not_handed_over(adapted: Adapted, file: Path) -> None:
    """gunicorn ends a chunked response twice after one; the next on the connection is lost."""
    file.write_bytes(b"")
    app = adapted(sends(start(), {"type": "http.response.pathsend", "path": str(file)}))
    wrapped: list[Any] = []

    response = call(app, environ_of(keys={"wsgi.file_wrapper": wrapped.append}))

    assert (response.status, response.body, wrapped) == (200, b"", [])


def test_starlette_sends_files_by_their_path(adapted: Adapted, file: Path) -> None:
    app = adapted(Starlette(routes=[Route("/", lambda request: FileResponse(file))]))

    response = call(app, environ_of())

    assert response.body == file.read_bytes()
    assert response.header("content-length") == "256000"


def test_a_file_is_not_sent_in_answer_to_head(adapted: Adapted, file: Path) -> None:
    pathsend = {"type": "http.response.pathsend", "path": str(file)}
    app = adapted(sends(start(200, (b"content-length", b"256000")), pathsend))

    response = call(app, environ_of("HEAD"))

    assert (response.header("content-length"), response.body) == ("256000", b"")


def test_a_file_with_a_status_that_has_no_body_is_not_opened(adapted: Adapted) -> None:
    app = adapted(sends(start(304), {"type": "http.response.pathsend", "path": "/nowhere"}))

    assert call(app, environ_of()).body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_is_not_there_is_an_error_before_the_head(
    adapted: Adapted, method: str
) -> None:
    app = adapted(sends(start(), {"type": "http.response.pathsend", "path": "/nowhere"}))

    with pytest.raises(bridge.BridgeError, match=r"raised FileNotFoundError: .*/nowhere") as caught:
        call(app, environ_of(method))

    assert not isinstance(caught.value, OSError), "gunicorn would answer that with nothing"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_trailers_are_accepted_and_dropped(
    adapted: Adapted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="bridge")
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    app = adapted(sends(start(trailers=True), piece(b"fine", more=False), trailers))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    assert "dropped http.response.trailers, which WSGI cannot send" in caplog.text


def test_early_hints_go_out_through_the_server_on_its_thread(adapted: Adapted) -> None:
    hinted: list[Any] = []

    async def hints(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.early_hint" in scope["extensions"]
        links = [b"</a.css>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links})
        assert hinted, "the app goes on once they are out"
        await answer(send)

    def hint(headers: Any) -> None:
        hinted.append((headers, threading.current_thread()))

    response = call(adapted(http_app(hints)), environ_of(keys={"wsgi.early_hints": hint}))

    assert response.body == b"fine"
    assert hinted == [([("Link", "</a.css>; rel=preload")], threading.current_thread())]


def early_hint(*links: Any) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": list(links)}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (early_hint(b"</a>; rel=preload\r\nSet-Cookie: evil=1"), "early_hint: value .* CR, LF"),
        (early_hint("</a>"), "asks for an iterable of bytes"),
        ({"type": "http.response.early_hint"}, "links is None"),
    ],
)
def test_a_hint_is_checked_as_any_header(adapted: Adapted, message: Any, said: str) -> None:
    hinted: list[Any] = []
    app = adapted(sends(message))

    with pytest.raises(bridge.AppProtocolError, match=said):
        call(app, environ_of(keys={"wsgi.early_hints": hinted.append}))

    assert hinted == []


def test_a_client_that_leaves_before_a_hint_is_no_error_of_the_app(adapted: Adapted) -> None:
    def hint(headers: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    app = adapted(sends(early_hint(b"</a>")))

    with pytest.raises(bridge.ClientDisconnected):
        call(app, environ_of(keys={"wsgi.early_hints": hint}))


def test_a_hint_that_still_waits_when_its_caller_leaves_is_dropped(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may serve the next request by then."""
    begun = threading.Event()
    hinted: list[Any] = []

    @http_app
    async def hints(scope: Scope, receive: Receive, send: Send) -> None:
        hinting = asyncio.ensure_future(send(early_hint(b"</a>")))
        await asyncio.sleep(0)  # the hint is on its way
        await send(start())
        await send(piece(b"first"))
        begun.set()
        await hinting

    def watch_client(environ: Any) -> None:
        assert begun.wait(TIMEOUT_S)  # the caller comes to the response before the hint

    monkeypatch.setattr("bridge.asgi_to_wsgi.thread_side.watch_client", watch_client)
    adapter = adapted(hints)
    environ = environ_of(keys={"wsgi.early_hints": hinted.append})
    response = adapter(environ, lambda *head: lambda chunk: None)
    assert next(iter(response)) == b"first"
    del response
    adapter.close()

    assert hinted == []


def test_another_task_may_begin_the_response_while_a_hint_goes_out(adapted: Adapted) -> None:
    begun = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        hinting = asyncio.ensure_future(send(early_hint(b"</a>")))
        await asyncio.sleep(0)  # the hint is on its way
        await send(start())
        begun.set()
        await hinting
        await send(piece(b"fine", more=False))

    def hint(headers: Any) -> None:
        assert begun.wait(TIMEOUT_S)

    environ = environ_of(keys={"wsgi.early_hints": hint})
    assert call(adapted(http_app(app)), environ).body == b"fine"


# -- frameworks ------------------------------------------------------------------------------------


def test_a_response_ends_before_its_background_task(adapted: Adapted) -> None:
    """P15."""
    go_on = threading.Event()
    done: list[str] = []

    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        assert await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        assert (await receive())["type"] == "http.disconnect"
        done.append("in the background")

    app = adapted(http_app(works))
    assert call(app, environ_of()).body == b"fine"
    assert not done
    go_on.set()
    app.close()
    assert done == ["in the background"]


def test_requests_run_at_the_same_time(adapted: Adapted) -> None:
    """P6's counterpart: as many as the server has threads."""
    together = 8
    here: list[int] = []
    all_here = asyncio.Event()

    async def meet(scope: Scope, receive: Receive, send: Send) -> None:
        here.append(len(here))
        if len(here) == together:
            all_here.set()
        async with asyncio.timeout(TIMEOUT_S):
            await all_here.wait()
        await answer(send)

    app = adapted(http_app(meet))
    requests = [Background(call, app, environ_of()) for _ in range(together)]

    assert [request.result().body for request in requests] == [b"fine"] * together


def test_starlette_streams(adapted: Adapted) -> None:
    async def numbers() -> Any:
        for number in range(3):
            yield f"{number};"
            await asyncio.sleep(0)

    def endpoint(request: Request) -> Response:
        return StreamingResponse(numbers(), media_type="text/plain")

    app = adapted(Starlette(routes=[Route("/", endpoint)]))

    assert call(app, environ_of()).body == b"0;1;2;"


def test_a_websocket_handshake_is_refused_with_advice(adapted: Adapted) -> None:
    app = adapted(sends())

    headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    response = call(app, environ_of(headers=headers))

    assert response.status == 426
    assert b"--server uvicorn" in response.body
    assert response.header("upgrade") is None, "PEP 3333 forbids an app to send it"


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"CONTENT_LENGTH": "x"}, 400),
        ({"CONTENT_LENGTH": "-5"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
    ],
)
def test_a_body_without_a_known_end_never_reaches_the_app(
    adapted: Adapted, keys: dict[str, Any], status: int
) -> None:
    response = call(adapted(sends()), environ_of("POST", **keys), validate=False)

    assert response.status == status

"""Thread-sensitive sync code of an ASGI app that waits for what only its own thread can do.

It runs on the server thread, which reads ``wsgi.input`` and passes the response to the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import asgiref.sync
import pytest

import bridge
from bridge.types import AsgiApp, Message, Receive, Scope, Send, Write
from tests.harness.wsgi import TIMEOUT_S, Background, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, respond, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

WINDOW = 1000
BLOCK = bytes(400)


@pytest.fixture(params=[asgiref.sync, bridge], ids=["asgiref", "bridge"])
def to_async(request: pytest.FixtureRequest) -> Any:
    """``sync_to_async`` of one of the two packages."""
    return request.param.sync_to_async


@pytest.fixture(params=[asgiref.sync, bridge], ids=["asgiref", "bridge"])
def to_sync(request: pytest.FixtureRequest) -> Any:
    """``async_to_sync`` of one of the two packages."""
    return request.param.async_to_sync


SyncSend = Callable[[Message], object]


@pytest.fixture
def in_sync_code(to_async: Any, to_sync: Any) -> Callable[[Any], AsgiApp]:
    """Makes an app of a sync function of ``receive`` and ``send``, both sync, too."""

    def make(body: Callable[[Callable[[], Message], SyncSend], None]) -> AsgiApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await to_async(body)(to_sync(receive), to_sync(send))

        return http_app(app)

    return make


def test_sync_code_sends_more_than_the_window(to_wsgi: ToWsgi, in_sync_code: Any) -> None:
    def body(receive: Any, send: SyncSend) -> None:
        send(start())
        for _ in range(10):
            send(piece(BLOCK))
        send(piece(b"end", more=False))

    app = to_wsgi(in_sync_code(body), response_window=WINDOW)
    response = Background(call, app, environ_of()).result()

    assert response.body == BLOCK * 10 + b"end"


def test_what_sync_code_sends_is_passed_on_before_it_sends_more(
    to_wsgi: ToWsgi, in_sync_code: Any
) -> None:
    written: list[bytes] = []
    threads: set[threading.Thread] = set()

    def body(receive: Any, send: SyncSend) -> None:
        threads.add(threading.current_thread())
        send(start())
        for number in range(3):
            send(piece(b"%d" % number))
            assert len(written) == number + 1
        send(piece(b"end", more=False))

    def start_response(*head: Any) -> Write:
        threads.add(threading.current_thread())
        return written.append

    rest = b"".join(to_wsgi(in_sync_code(body))(environ_of(), start_response))

    assert (written, rest) == ([b"0", b"1", b"2"], b"end")
    assert threads == {threading.current_thread()}


def test_async_code_continues_a_response_of_sync_code(
    to_wsgi: ToWsgi, to_async: Any, to_sync: Any
) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201))
        await to_async(to_sync(send))(piece(b"sync;"))
        await send(piece(b"async;"))
        await send(piece(b"end", more=False))

    response = Background(call, to_wsgi(app), environ_of()).result()

    assert (response.status, response.body) == (201, b"sync;async;end")


def test_an_error_after_sync_code_has_sent_aborts_the_response(
    to_wsgi: ToWsgi, in_sync_code: Any
) -> None:
    written: list[bytes] = []

    def body(receive: Any, send: SyncSend) -> None:
        send(start())
        send(piece(b"part"))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        list(to_wsgi(in_sync_code(body))(environ_of(), lambda *head: written.append))

    assert written == [b"part"]


def test_sync_code_receives_the_body(to_wsgi: ToWsgi, in_sync_code: Any) -> None:
    sent = bytes(range(256)) * 40

    def body(receive: Callable[[], Message], send: SyncSend) -> None:
        received, more = b"", True
        while more:
            message = receive()
            received += message["body"]
            more = message["more_body"]
        send(start())
        send(piece(received, more=False))

    app = to_wsgi(in_sync_code(body), body_window=WINDOW)
    response = Background(call, app, environ_of("POST", body=sent)).result()

    assert response.body == sent


def test_sync_code_sends_early_hints(to_wsgi: ToWsgi, in_sync_code: Any, to_sync: Any) -> None:
    hinted: list[Any] = []

    def body(receive: Any, send: SyncSend) -> None:
        send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        assert hinted == [[("Link", "</a.css>; rel=preload")]]
        send(start())
        send(piece(b"fine", more=False))

    environ = environ_of(keys={"wsgi.early_hints": hinted.append})

    assert Background(call, to_wsgi(in_sync_code(body)), environ).result().body == b"fine"


def test_a_client_that_leaves_ends_sync_code_that_sends(to_wsgi: ToWsgi, in_sync_code: Any) -> None:
    """The server gets its own error, the app a disconnect."""
    raised: list[BaseException] = []

    def write(data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def body(receive: Any, send: SyncSend) -> None:
        send(start())
        try:
            while True:
                send(piece(BLOCK))
        except BaseException as error:
            raised.append(error)
            raise

    app = to_wsgi(in_sync_code(body), response_window=WINDOW)
    exchange = Background(app, environ_of(), lambda *head: write)
    with pytest.raises(BrokenPipeError):
        exchange.result()

    assert [type(error) for error in raised] == [bridge.ClientDisconnected]


def without_write(app: Any) -> Any:
    """The app on a server whose ``start_response`` returns nothing, as granian's."""

    def wrapped(environ: Any, start_response: Any) -> Any:
        def start_only(*head: Any) -> None:
            start_response(*head)

        return app(environ, start_only)

    return wrapped


def sends_in_parts(receive: Any, send: SyncSend) -> None:
    send(start())
    for _ in range(10):
        send(piece(BLOCK))
    send(piece(more=False))


def test_a_full_window_on_a_server_without_write_is_an_error(
    to_wsgi: ToWsgi, in_sync_code: Any
) -> None:
    """The thread that would empty the window waits for this very ``send()``."""
    app = without_write(to_wsgi(in_sync_code(sends_in_parts), response_window=WINDOW))

    with pytest.raises(bridge.DeadlockError, match=r"response_window=1000 is full"):
        Background(lambda: list(app(environ_of(), lambda *head: None))).result()


def test_a_response_within_the_window_needs_no_write(to_wsgi: ToWsgi, in_sync_code: Any) -> None:
    app = without_write(to_wsgi(in_sync_code(sends_in_parts)))

    body = Background(lambda: b"".join(app(environ_of(), lambda *head: None))).result()

    assert body == BLOCK * 10


def test_a_full_window_after_the_response_has_begun_is_an_error(
    to_wsgi: ToWsgi, to_async: Any, to_sync: Any
) -> None:
    """PEP 3333 forbids ``write()`` once the iterable is returned."""
    received = threading.Event()
    raised: list[BaseException] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await bridge.sync_to_async(received.wait, thread_sensitive=False)(TIMEOUT_S)
        try:
            await to_async(lambda: [to_sync(send)(piece(BLOCK)) for _ in range(10)])()
        except bridge.DeadlockError as error:
            raised.append(error)
        await send(piece(b"last", more=False))

    def exchange() -> bytes:
        adapter = to_wsgi(app, response_window=WINDOW)
        with WsgiExchange(adapter, environ_of()) as exchange:
            first = exchange.chunk()
            received.set()
            return first + b"".join(exchange)

    body = Background(exchange).result()

    assert len(raised) == 1
    assert body.startswith(b"first")
    assert body.endswith(b"last")


def test_a_whole_response_of_sync_code_uses_no_write(
    to_wsgi: ToWsgi, to_async: Any, to_sync: Any
) -> None:
    """``write()`` is for a response in parts: the head of a whole one waits for its body."""
    written: list[bytes] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await to_async(to_sync(respond))(send)

    def exchange() -> bytes:
        return b"".join(to_wsgi(app)(environ_of(), lambda *head: written.append))

    assert Background(exchange).result() == b"fine"
    assert written == []

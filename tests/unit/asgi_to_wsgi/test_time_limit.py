"""``request_timeout_s`` of ``to_wsgi``: who gets 504 or is cut, and what becomes of the task."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from asgiref.sync import sync_to_async

import bridge
from bridge._threads import health
from bridge.asgi_to_wsgi import adapter as adapter_module
from bridge.asgi_to_wsgi import thread_side
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, respond, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

Log = Callable[[], list[str]]

LIMIT_S = 0.1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Server threads look at the time more often; each test begins in a healthy process."""
    monkeypatch.setattr(thread_side, "POLL_S", 0.02)
    monkeypatch.setattr(adapter_module, "POLL_S", 0.02)
    health._forget()
    yield
    health._forget()


def test_an_app_that_never_answers_gets_504_and_is_cancelled(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    cancelled = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    response = call(to_wsgi(app, request_timeout_s=LIMIT_S), environ_of(path="/never\n!"))

    assert response.status == 504
    assert response.body == b"The server did not complete the request in time.\n"
    assert cancelled.wait(TIMEOUT_S)
    (line,) = bridge_log()
    assert line.startswith(r"GET '/never\n!' has made no progress for request_timeout_s=0.1. ")
    assert "await asyncio.Event().wait()" in line


def test_a_router_passes_the_limit_on() -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    router = bridge.Router({"/": app}, request_timeout_s=LIMIT_S)

    assert call(router, environ_of()).status == 504
    router.close()


def test_a_response_that_has_begun_is_cut(to_wsgi: ToWsgi) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"the beginning"))
        await asyncio.Event().wait()

    with WsgiExchange(to_wsgi(app, request_timeout_s=LIMIT_S), environ_of()) as exchange:
        assert exchange.chunk() == b"the beginning"
        with pytest.raises(bridge.RequestTimeout, match=r"request_timeout_s=0\.1"):
            exchange.chunk()


def test_a_task_that_ignores_its_cancellation_is_abandoned(to_wsgi: ToWsgi) -> None:
    go_on = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not go_on.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                pass

    adapter = to_wsgi(app, request_timeout_s=LIMIT_S)

    assert call(adapter, environ_of()).status == 504
    go_on.set()


def test_progress_extends_the_time(to_wsgi: ToWsgi) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(12):
            await asyncio.sleep(LIMIT_S)
            await send(piece(b"x"))
        await send(piece(b"", more=False))

    assert call(to_wsgi(app, request_timeout_s=3 * LIMIT_S), environ_of()).body == 12 * b"x"


def test_an_upload_in_pieces_extends_the_time(to_wsgi: ToWsgi) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
            await asyncio.sleep(LIMIT_S)
        await respond(send, b"%d" % size)

    body = b"x" * 12
    adapter = to_wsgi(app, request_timeout_s=3 * LIMIT_S, body_window=1)

    assert call(adapter, environ_of("POST", body=body)).body == b"12"


def test_what_follows_the_response_has_no_limit(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    ended = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"done")
        await asyncio.sleep(3 * LIMIT_S)
        ended.set()

    assert call(to_wsgi(app, request_timeout_s=LIMIT_S), environ_of()).body == b"done"
    assert ended.wait(TIMEOUT_S)
    assert not bridge_log()


def test_an_app_that_blocks_the_event_loop_gets_504_meanwhile(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    go_on = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        go_on.wait(TIMEOUT_S)
        await respond(send, b"late")

    adapter = to_wsgi(app, request_timeout_s=LIMIT_S)
    adapter.start()

    assert call(adapter, environ_of()).status == 504
    assert "go_on.wait(TIMEOUT_S)" in bridge_log()[0]
    go_on.set()


@pytest.mark.parametrize("has_begun", [False, True])
def test_sync_code_on_the_server_thread_ends_with_504_or_a_cut_and_degrades_the_process(
    to_wsgi: ToWsgi, bridge_log: Log, has_begun: bool
) -> None:
    go_on = threading.Event()
    cancelled = threading.Event()

    def block() -> None:
        go_on.wait(TIMEOUT_S)

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if has_begun:
            await send(start())
            await send(piece(b"the beginning"))
        try:
            await sync_to_async(block)()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    adapter = to_wsgi(app, request_timeout_s=LIMIT_S)
    health.on_degraded(lambda reason: go_on.set())
    try:
        with WsgiExchange(adapter, environ_of()) as exchange:
            if has_begun:
                assert exchange.chunk() == b"the beginning"
                with pytest.raises(bridge.RequestTimeout):
                    exchange.chunk()
            else:
                assert exchange.status == "504 Gateway Timeout"
    finally:
        health._callbacks.pop()

    assert cancelled.wait(TIMEOUT_S)
    assert "go_on.wait(TIMEOUT_S)" in bridge_log()[0]
    assert "a thread of the server is stuck in sync code" in str(health.degraded())


def test_many_quick_calls_of_sync_code_count_together_and_the_server_thread_is_free(
    to_wsgi: ToWsgi,
) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await sync_to_async(time.sleep)(LIMIT_S / 10)

    assert call(to_wsgi(app, request_timeout_s=3 * LIMIT_S), environ_of()).status == 504
    assert health.degraded() is None

"""Everything but requests: lifespan, WebSockets, unknown scopes, forks and other event loops."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import bridge
from bridge.errors import ServerProtocolError
from bridge.types import Environ, Message, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import Bridged
from tests.harness.asgi import Exchange, call, http_scope, lifespan

Logged = Callable[[], list[str]]
WAIT_S = 10.0


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"hello"]


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "bridge" in thread.name}


def test_startup_and_shutdown_complete_at_once_when_idle() -> None:
    async def run() -> None:
        async with lifespan(bridge.to_asgi(hello)):
            pass

    asyncio.run(run())


def test_shutdown_ends_the_threads() -> None:
    before = our_threads()

    async def run() -> None:
        adapter = bridge.to_asgi(hello)
        async with lifespan(adapter):
            async with Exchange(adapter, http_scope()) as exchange:
                exchange.feed()
                await exchange.response()
            assert our_threads() - before

    asyncio.run(run())
    assert our_threads() <= before


def test_shutdown_waits_for_the_requests_that_run() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        assert go_on.wait(WAIT_S)
        return hello(environ, start_response)

    async def run() -> None:
        adapter = bridge.to_asgi(app)
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        outbox: asyncio.Queue[Message] = asyncio.Queue()
        live = asyncio.ensure_future(adapter({"type": "lifespan"}, inbox.get, outbox.put))
        inbox.put_nowait({"type": "lifespan.startup"})
        assert (await outbox.get())["type"] == "lifespan.startup.complete"
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(inside.wait, WAIT_S)
            inbox.put_nowait({"type": "lifespan.shutdown"})
            for _ in range(20):
                await asyncio.sleep(0)
            assert outbox.empty()
            go_on.set()
            assert (await exchange.response()).body == b"hello"
        assert (await asyncio.wait_for(outbox.get(), WAIT_S))["type"] == (
            "lifespan.shutdown.complete"
        )
        await live

    asyncio.run(run())


def test_shutdown_gives_up_after_its_timeout_and_says_so(logged: Logged) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        assert go_on.wait(WAIT_S)
        return hello(environ, start_response)

    async def run() -> None:
        adapter = bridge.to_asgi(app, shutdown_timeout_s=0.1)
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(inside.wait, WAIT_S)
            async with lifespan(adapter):
                pass
            assert any("shutdown_timeout_s=0.1" in message for message in logged())
            go_on.set()
            assert (await exchange.response()).body == b"hello"

    asyncio.run(run())


def test_an_adapter_can_be_started_again(bridged: Bridged) -> None:
    adapter = bridged(hello)

    async def run() -> None:
        for _ in range(2):
            async with lifespan(adapter), Exchange(adapter, http_scope()) as exchange:
                exchange.feed()
                assert (await exchange.response()).body == b"hello"

    asyncio.run(run())


def test_one_adapter_serves_one_loop_after_another(bridged: Bridged) -> None:
    adapter = bridged(hello)

    assert [call(adapter, http_scope()).body for _ in range(3)] == [b"hello"] * 3


def test_one_adapter_serves_several_loops_at_the_same_time(bridged: Bridged) -> None:
    together = threading.Barrier(3)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        together.wait(WAIT_S)
        return hello(environ, start_response)

    adapter = bridged(app)
    bodies: list[bytes] = []
    servers = [
        threading.Thread(target=lambda: bodies.append(call(adapter, http_scope()).body))
        for _ in range(3)
    ]
    for server in servers:
        server.start()
    for server in servers:
        server.join(WAIT_S)

    assert bodies == [b"hello"] * 3


def test_a_websocket_is_closed_before_it_is_accepted(bridged: Bridged, logged: Logged) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/chat", "headers": []}
    asyncio.run(bridged(hello)(scope, receive, send))

    assert [message["type"] for message in sent] == ["websocket.close"]
    assert len(logged()) == 1
    assert "/chat" in logged()[0]


def test_an_unknown_scope_is_refused_by_name(bridged: Bridged) -> None:
    async def never() -> Message:
        raise AssertionError("nothing to receive")

    async def send(message: Message) -> None:
        raise AssertionError("nothing to send")

    with pytest.raises(ServerProtocolError, match="'mqtt'"):
        asyncio.run(bridged(hello)({"type": "mqtt"}, never, send))


def test_a_forked_child_gets_threads_of_its_own(bridged: Bridged) -> None:
    adapter = bridged(hello)
    assert call(adapter, http_scope()).body == b"hello"

    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:  # the child may do nothing but this, and must not return into pytest
        try:
            os.write(writer, call(adapter, http_scope()).body)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"hello"
    assert os.waitpid(pid, 0)[1] == 0


def test_a_dropped_adapter_takes_its_threads_with_it() -> None:
    before = our_threads()
    for _ in range(100):
        assert call(bridge.to_asgi(hello), http_scope()).body == b"hello"

    for thread in our_threads() - before:
        thread.join(WAIT_S)
    assert our_threads() <= before  # those of other tests may have ended meanwhile

"""Lifespan, WebSockets, unknown scopes, forks and several event loops."""

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
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call, http_scope, lifespan

Logged = Callable[[], list[str]]
WAIT_S = 10.0


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"hello"]


def bridge_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "bridge" in thread.name}


def test_startup_and_shutdown_complete_without_requests() -> None:
    async def run() -> None:
        async with lifespan(bridge.to_asgi(hello)):
            pass

    asyncio.run(run())


def test_shutdown_ends_the_threads() -> None:
    before = bridge_threads()

    async def run() -> None:
        adapter = bridge.to_asgi(hello)
        async with lifespan(adapter):
            async with Exchange(adapter, http_scope()) as exchange:
                exchange.feed()
                await exchange.response()
            assert bridge_threads() - before

    asyncio.run(run())
    assert bridge_threads() <= before


def test_shutdown_waits_for_running_requests() -> None:
    started, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        assert release.wait(WAIT_S)
        return hello(environ, start_response)

    async def run() -> None:
        adapter = bridge.to_asgi(app)
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        outbox: asyncio.Queue[Message] = asyncio.Queue()
        task = asyncio.ensure_future(adapter({"type": "lifespan"}, inbox.get, outbox.put))
        inbox.put_nowait({"type": "lifespan.startup"})
        assert (await outbox.get())["type"] == "lifespan.startup.complete"
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(started.wait, WAIT_S)
            inbox.put_nowait({"type": "lifespan.shutdown"})
            for _ in range(20):
                await asyncio.sleep(0)
            assert outbox.empty()
            release.set()
            assert (await exchange.response()).body == b"hello"
        assert (await asyncio.wait_for(outbox.get(), WAIT_S))["type"] == (
            "lifespan.shutdown.complete"
        )
        await task

    asyncio.run(run())


def test_shutdown_stops_waiting_after_shutdown_timeout_s_and_logs_it(logged: Logged) -> None:
    started, release = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        assert release.wait(WAIT_S)
        return hello(environ, start_response)

    async def run() -> None:
        adapter = bridge.to_asgi(app, shutdown_timeout_s=0.1)
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            assert await asyncio.to_thread(started.wait, WAIT_S)
            async with lifespan(adapter):
                pass
            assert any("shutdown_timeout_s=0.1" in message for message in logged())
            release.set()
            assert (await exchange.response()).body == b"hello"

    asyncio.run(run())


def test_an_adapter_can_be_started_again(to_asgi: ToAsgi) -> None:
    adapter = to_asgi(hello)

    async def run() -> None:
        for _ in range(2):
            async with lifespan(adapter), Exchange(adapter, http_scope()) as exchange:
                exchange.feed()
                assert (await exchange.response()).body == b"hello"

    asyncio.run(run())


def test_one_adapter_serves_one_loop_after_another(to_asgi: ToAsgi) -> None:
    adapter = to_asgi(hello)

    assert [call(adapter, http_scope()).body for _ in range(3)] == [b"hello"] * 3


def test_one_adapter_serves_several_loops_concurrently(to_asgi: ToAsgi) -> None:
    barrier = threading.Barrier(3)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        barrier.wait(WAIT_S)
        return hello(environ, start_response)

    adapter = to_asgi(app)
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


def test_a_websocket_is_closed_before_it_is_accepted(to_asgi: ToAsgi, logged: Logged) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/chat", "headers": []}
    asyncio.run(to_asgi(hello)(scope, receive, send))

    assert [message["type"] for message in sent] == ["websocket.close"]
    assert len(logged()) == 1
    assert "/chat" in logged()[0]


def test_the_error_for_an_unknown_scope_names_its_type(to_asgi: ToAsgi) -> None:
    async def never() -> Message:
        raise AssertionError("nothing to receive")

    async def send(message: Message) -> None:
        raise AssertionError("nothing to send")

    with pytest.raises(ServerProtocolError, match="'mqtt'"):
        asyncio.run(to_asgi(hello)({"type": "mqtt"}, never, send))


def test_a_forked_child_starts_its_own_threads(to_asgi: ToAsgi) -> None:
    adapter = to_asgi(hello)
    assert call(adapter, http_scope()).body == b"hello"

    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:  # the child must not return into pytest
        try:
            os.write(writer, call(adapter, http_scope()).body)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        assert output.read() == b"hello"
    assert os.waitpid(pid, 0)[1] == 0


def test_a_garbage_collected_adapter_ends_its_threads() -> None:
    before = bridge_threads()
    for _ in range(100):
        assert call(bridge.to_asgi(hello), http_scope()).body == b"hello"

    for thread in bridge_threads() - before:
        thread.join(WAIT_S)
    assert bridge_threads() <= before  # threads of other tests may have ended

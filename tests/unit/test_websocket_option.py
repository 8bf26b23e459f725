"""The option ``websocket_threads``: what it takes, and what it needs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.types import Environ, Message, StartResponse
from tests.harness.asgi import http_scope

DEADLINE_S = 30


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("X-Why", "no such socket")])
    return [b"not here"]


@pytest.mark.parametrize("value", [-1, 1.5, True, "4", None])
def test_a_wrong_number_is_refused_when_the_adapter_is_made(value: Any) -> None:
    with pytest.raises(bridge.ConfigError, match=r"websocket_threads=.*takes an int of 0 or more"):
        bridge.to_asgi(wsgi_app, websocket_threads=value)


def test_without_wsproto_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsproto", None)
    monkeypatch.delitem(sys.modules, "bridge.websocket", raising=False)
    with pytest.raises(bridge.ConfigError, match=r"pip install 'wsgi-asgi-bridge\[websocket\]'"):
        bridge.to_asgi(wsgi_app, websocket_threads=1)
    assert bridge.to_asgi(wsgi_app) is not None


async def told(extensions: dict[str, Any], message: Message) -> list[Message]:
    """What a server is sent for a WebSocket that the app answers with 404."""
    scope = {
        **http_scope(path="/", extensions=extensions),
        "type": "websocket",
        "scheme": "ws",
        "subprotocols": [],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    await bridge.to_asgi(wsgi_app, websocket_threads=1)(scope, receive, send)
    return sent


async def test_an_ordinary_answer_is_a_denial_response_where_the_server_can_send_one() -> None:
    start, body = await told({"websocket.http.response": {}}, {"type": "websocket.connect"})
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 404
    assert (b"x-why", b"no such socket") in start["headers"]
    assert (b"content-length", b"8") in start["headers"]
    assert body["body"] == b"not here"


async def test_an_ordinary_answer_is_a_close_where_the_server_cannot() -> None:
    sent = await told({}, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_client_that_has_left_already_gets_no_answer() -> None:
    assert await told({}, {"type": "websocket.disconnect", "code": 1006}) == []


async def test_a_socket_counts_until_its_thread_is_free() -> None:
    """The server gives up the first one while its app still works: its thread is not free yet."""
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        go_on.wait(DEADLINE_S)
        return wsgi_app(environ, start_response)

    adapter = bridge.to_asgi(app, websocket_threads=1)
    scope = {
        **http_scope(extensions={"websocket.http.response": {}}),
        "type": "websocket",
        "subprotocols": [],
    }

    async def status() -> int:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await adapter(scope, receive, send)
        return int(sent[0]["status"])

    first = asyncio.create_task(status())
    await asyncio.to_thread(inside.wait, DEADLINE_S)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await status() == 503
    go_on.set()
    async with asyncio.timeout(DEADLINE_S):
        while await status() != 404:
            await asyncio.sleep(0.001)


def test_a_thread_that_outlives_its_loop_gives_its_slot_back() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        inside.set()
        go_on.wait(DEADLINE_S)
        return wsgi_app(environ, start_response)

    adapter = bridge.to_asgi(app, websocket_threads=1)
    scope = {
        **http_scope(extensions={"websocket.http.response": {}}),
        "type": "websocket",
        "subprotocols": [],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def give_up() -> None:
        task = asyncio.ensure_future(adapter(scope, receive, send))
        await asyncio.to_thread(inside.wait, DEADLINE_S)
        task.cancel()

    async def try_again() -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not sent or sent[0]["status"] == 503:
                sent.clear()
                await adapter(scope, receive, send)

    asyncio.run(give_up())
    go_on.set()
    asyncio.run(try_again())
    assert sent[0]["status"] == 404

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
    monkeypatch.delitem(sys.modules, "bridge.wsgi_to_asgi.websocket", raising=False)
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


class Held:
    """A WSGI app that refuses the WebSocket once it may go on, behind an adapter with one slot."""

    def __init__(self) -> None:
        self.inside, self.may_go_on = threading.Event(), threading.Event()
        self.adapter = bridge.to_asgi(self, websocket_threads=1)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.inside.set()
        self.may_go_on.wait(DEADLINE_S)
        return wsgi_app(environ, start_response)

    async def status(self) -> int:
        """What one WebSocket is answered."""
        scope = http_scope(extensions={"websocket.http.response": {}}, subprotocols=[])
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.adapter({**scope, "type": "websocket"}, receive, send)
        return int(sent[0]["status"])

    async def be_given_up(self) -> None:
        """One WebSocket whose server cancels it while the app still works."""
        task = asyncio.create_task(self.status())
        await asyncio.to_thread(self.inside.wait, DEADLINE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def be_free(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.status() != 404:
                await asyncio.sleep(0.001)


async def test_a_socket_counts_until_its_thread_is_free() -> None:
    held = Held()
    await held.be_given_up()
    assert await held.status() == 503
    held.may_go_on.set()
    await held.be_free()


def test_a_thread_that_outlives_its_loop_gives_its_slot_back() -> None:
    held = Held()
    asyncio.run(held.be_given_up())
    held.may_go_on.set()
    asyncio.run(held.be_free())

"""The option ``websocket_threads``: its values and requirements, and refused WebSockets."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.types import Environ, Message, StartResponse, WsgiApp
from tests.harness.asgi import http_scope

DEADLINE_S = 30


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("X-Why", "no such socket")])
    return [b"not here"]


@pytest.mark.parametrize("value", [-1, 1.5, True, "4", None])
def test_an_invalid_number_is_a_config_error(value: Any) -> None:
    with pytest.raises(
        bridge.ConfigError, match=r"websocket_threads=.*expected an int of 0 or more"
    ):
        bridge.to_asgi(wsgi_app, websocket_threads=value)


def test_without_wsproto_the_error_shows_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wsproto", None)
    monkeypatch.delitem(sys.modules, "bridge.wsgi_to_asgi.websocket", raising=False)
    with pytest.raises(bridge.ConfigError, match=r"pip install 'wsgi-asgi-bridge\[websocket\]'"):
        bridge.to_asgi(wsgi_app, websocket_threads=1)
    assert bridge.to_asgi(wsgi_app) is not None


async def refuse(
    extensions: dict[str, Any], message: Message, app: WsgiApp = wsgi_app
) -> list[Message]:
    """The messages of the adapter for a WebSocket that the app refuses, by default with 404."""
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

    await bridge.to_asgi(app, websocket_threads=1)(scope, receive, send)
    return sent


async def test_an_http_response_becomes_a_denial_response_if_the_server_supports_it() -> None:
    start, body = await refuse({"websocket.http.response": {}}, {"type": "websocket.connect"})
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 404
    assert (b"x-why", b"no such socket") in start["headers"]
    assert (b"content-length", b"8") in start["headers"]
    assert body["body"] == b"not here"


async def test_an_http_response_becomes_a_close_otherwise() -> None:
    sent = await refuse({}, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_client_that_has_disconnected_gets_no_response() -> None:
    assert await refuse({}, {"type": "websocket.disconnect", "code": 1006}) == []


class BlockedApp:
    """A WSGI app that waits and then refuses the WebSocket, behind an adapter with one slot."""

    def __init__(self) -> None:
        self.started, self.release = threading.Event(), threading.Event()
        self.adapter = bridge.to_asgi(self, websocket_threads=1, shutdown_timeout_s=0.01)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.started.set()
        self.release.wait(DEADLINE_S)
        return wsgi_app(environ, start_response)

    async def status(self) -> int:
        """The status that one WebSocket is refused with."""
        scope = http_scope(extensions={"websocket.http.response": {}}, subprotocols=[])
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.adapter({**scope, "type": "websocket"}, receive, send)
        return int(sent[0]["status"])

    async def run_lifespan(self) -> None:
        """Start and shut down, as a server does."""
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Message:
            return messages.pop(0)

        async def send(message: Message) -> None:
            assert message["type"].endswith(".complete"), message

        await self.adapter({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    async def cancel_one(self) -> None:
        """Cancel a WebSocket as a server does, while the app still runs."""
        task = asyncio.create_task(self.status())
        await asyncio.to_thread(self.started.wait, DEADLINE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wait_for_free_slot(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.status() != 404:
                await asyncio.sleep(0.001)


async def test_a_cancelled_websocket_uses_its_slot_until_its_thread_is_free() -> None:
    app = BlockedApp()
    await app.cancel_one()
    assert await app.status() == 503
    app.release.set()
    await app.wait_for_free_slot()


def test_a_thread_that_outlives_its_loop_frees_its_slot() -> None:
    app = BlockedApp()
    asyncio.run(app.cancel_one())
    app.release.set()
    asyncio.run(app.wait_for_free_slot())


async def test_a_websocket_that_outlives_a_shutdown_uses_no_slot_of_the_next_start() -> None:
    app = BlockedApp()
    await app.cancel_one()
    await app.run_lifespan()
    app.started.clear()
    websocket = asyncio.create_task(app.status())
    assert await asyncio.to_thread(app.started.wait, DEADLINE_S), "the slot is not free"
    app.release.set()
    assert await websocket == 404
    await app.wait_for_free_slot()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_an_exception_that_would_end_the_loop_is_an_app_protocol_error(
    error: BaseException,
) -> None:
    def ends(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    with pytest.raises(bridge.AppProtocolError, match=type(error).__name__) as caught:
        await refuse({}, {"type": "websocket.connect"}, ends)
    assert caught.value.__cause__ is error

"""``response_window``: exactly how many bytes an app may be ahead of the server."""

from __future__ import annotations

import asyncio

import pytest

from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi, run_ready_callbacks


def test_an_app_waits_once_it_is_more_than_the_window_ahead(to_wsgi: ToWsgi) -> None:
    gate = asyncio.Event()
    sent: list[int] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(1, 10):
            await send(piece(b"x" * 100))
            sent.append(number)
            if number == 1:
                await gate.wait()
        await send(piece(more=False))

    app = to_wsgi(http_app(stream), response_window=500)
    with WsgiExchange(app, environ_of()) as exchange:
        assert len(exchange.chunk()) == 100
        app.start().thread.loop.call_soon_threadsafe(gate.set)
        run_ready_callbacks(app)
        assert sent[-1] == 5, "500 bytes are ahead, which the window allows; 600 are too many"
        assert exchange.chunk(), "it accepts the first, and takes what is there"
        run_ready_callbacks(app)
        assert sent[-1] == 6, "the server has accepted 100 bytes, so the same holds for the next"


@pytest.mark.parametrize(("size", "ends"), [(500, "complete"), (501, "disconnected")])
def test_a_stream_for_head_is_ended_once_it_exceeds_the_window(
    to_wsgi: ToWsgi, size: int, ends: str
) -> None:
    ended: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            await send(piece(b"x" * (size - 1)))
            await send(piece(b"x"))
            await send(piece(more=False))
            ended.append("complete")
        except OSError:
            ended.append("disconnected")

    app = to_wsgi(http_app(stream), response_window=500)
    assert call(app, environ_of("HEAD")).body == b""
    app.close()
    assert ended == [ends]

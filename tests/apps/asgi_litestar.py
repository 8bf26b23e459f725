"""WebSockets of Litestar behind ``bridge.to_wsgi``: ``tests.apps.asgi_litestar:app``."""

from typing import Any

from litestar import Litestar, WebSocket, websocket, websocket_listener

import bridge


@websocket_listener("/echo")  # type: ignore[untyped-decorator]  # not installed for mypy
async def echo(data: dict[str, Any]) -> dict[str, Any]:
    return {"litestar": data}


@websocket("/count/{last:int}")  # type: ignore[untyped-decorator]  # not installed for mypy
async def count(socket: WebSocket, last: int) -> None:
    await socket.accept(subprotocols="count.v1", headers={"x-own": "yes"})
    for number in range(last):
        await socket.send_text(str(number))
    await socket.close(code=4000, reason="counted")


app = bridge.to_wsgi(Litestar([echo, count]))

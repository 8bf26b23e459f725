"""A Router in the user's code: a WSGI page, a nested Router, and a chat for WebSockets."""

from __future__ import annotations

from fastapi_site import app as fastapi_app  # type: ignore[import-not-found]  # next to this file
from flask_site import app as flask_app  # type: ignore[import-not-found]  # next to this file

import bridge
from bridge.types import Receive, Scope, Send


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the root path, and close."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": f"chat at {scope['root_path']}"})
    await send({"type": "websocket.close"})


def unclear(*arguments: object) -> object:
    """``flask_app``, with an interface that cannot be detected."""
    return flask_app(*arguments)


class Site:
    """A class that is not an app. Its instances have one."""

    def unclear(self, *arguments: object) -> object:
        return flask_app(*arguments)


site = Site()
number = 8080

app = bridge.Router(
    {"/": flask_app, "/v1": bridge.Router({"/api": fastapi_app, "/shop": flask_app})},
    websocket={"/ws": chat},
)

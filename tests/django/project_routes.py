"""For ``websocket="tests.django.project_routes.application"``: needs Django's setup."""

from __future__ import annotations

from django.contrib.auth.models import User  # consumers import models, too

from bridge.types import Receive, Scope, Send


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one message."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": f"{User.__name__}: {message['text']}"})
    await send({"type": "websocket.close"})

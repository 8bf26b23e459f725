"""What ``websocket="tests.django.project_routes.application"`` leads to: it needs Django set up."""

from __future__ import annotations

from django.contrib.auth.models import User  # models, as a consumer imports them

from bridge.types import Receive, Scope, Send


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Greets once."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": f"{User.__name__}: {message['text']}"})
    await send({"type": "websocket.close"})

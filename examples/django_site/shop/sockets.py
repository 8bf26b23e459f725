"""The WebSocket of the notice board: Django Channels, on the event loop.

Input: messages that :mod:`shop.live` sends to the group, from any process. Output: the same
messages as JSON, to each open page. A page that connects first receives the complete board, because
it may have missed changes.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from shop import live

logger = logging.getLogger("django.shop")

SERVICE_RESTART = 1012  # close code of RFC 6455's registry: the client may reconnect


class Quay(AsyncJsonWebsocketConsumer):
    """One open page."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Close with code 1012 if the channel layer fails, so that the page reconnects."""
        try:
            await super().__call__(scope, receive, send)
        except live.LAYER_ERRORS as error:
            logger.warning("closed a WebSocket because the channel layer failed: %s", error)
            with suppress(OSError, RuntimeError):  # the client may have disconnected first
                await send({"type": "websocket.close", "code": SERVICE_RESTART})

    async def connect(self) -> None:
        """Join the group before sending the board, so that no change in between is lost."""
        await live.retry_once(self.channel_layer.group_add, live.GROUP, self.channel_name)
        await self.accept()
        await self.send_json(await database_sync_to_async(live.board)())

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard(live.GROUP, self.channel_name)

    async def board_changed(self, event: dict[str, Any]) -> None:
        """Send a change from :func:`shop.live.announce` to the page."""
        await self.send_json(event["change"])


application = AllowedHostsOriginValidator(URLRouter([path("quay/socket/", Quay.as_asgi())]))

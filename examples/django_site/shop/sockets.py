"""The WebSocket of the quay's board: Django Channels, on the event loop.

What enters: what :mod:`shop.live` sends to the group, from whichever process a view runs in. What
leaves: the same as JSON, to each open page; and the whole board to a page that has just connected,
which may have missed something.
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

SERVICE_RESTART = 1012  # the close code of RFC 6455's registry: the browser may come back at once


class Quay(AsyncJsonWebsocketConsumer):
    """One open page."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels' own, but for a bus that is gone: the page is told to come back."""
        try:
            await super().__call__(scope, receive, send)
        except live.BUS_LOST as error:
            logger.warning("a live board lost its channel layer and is closed: %s", error)
            with suppress(OSError, RuntimeError):  # the page may have gone first
                await send({"type": "websocket.close", "code": SERVICE_RESTART})

    async def connect(self) -> None:
        """Join the group first, so that nothing falls between the board and what comes next."""
        await live.twice(self.channel_layer.group_add, live.GROUP, self.channel_name)
        await self.accept()
        await self.send_json(await database_sync_to_async(live.board)())

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard(live.GROUP, self.channel_name)

    async def board_changed(self, event: dict[str, Any]) -> None:
        """What :func:`shop.live.announce` has sent."""
        await self.send_json(event["change"])


application = AllowedHostsOriginValidator(URLRouter([path("quay/socket/", Quay.as_asgi())]))

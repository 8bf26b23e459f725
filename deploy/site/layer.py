"""A channel layer that outlives a restart of Redis.

Channels closes a WebSocket whose channel layer fails, and a Redis without persistence forgets its
groups. This layer waits until Redis is back, and joins the groups of its WebSockets again. Messages
of the time in between are lost, and their senders get the error.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from channels_redis.core import RedisChannelLayer
from redis.exceptions import RedisError

__all__ = ["LastingLayer"]

PAUSE_S = 0.2
ERRORS = (OSError, RedisError)


class LastingLayer(RedisChannelLayer):
    """``channels_redis.core.RedisChannelLayer``, for ``CHANNEL_LAYERS``. Used on one event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._joined: set[tuple[str, str]] = set()

    async def group_add(self, group: str, channel: str) -> None:
        """Join a group, and remember it."""
        self._joined.add((group, channel))
        try:
            await super().group_add(group, channel)
        except BaseException:  # the WebSocket is refused, and never leaves the group
            self._joined.discard((group, channel))
            raise

    async def group_discard(self, group: str, channel: str) -> None:
        """Leave a group. If Redis does not answer, it has forgotten the group anyway."""
        self._joined.discard((group, channel))
        with suppress(*ERRORS):
            await super().group_discard(group, channel)

    async def receive_single(self, channel: str) -> Any:
        """The next message for this process, whenever Redis has one."""
        while True:
            try:
                return await super().receive_single(channel)
            except ERRORS:
                await asyncio.sleep(PAUSE_S)
                await self._join_again()

    async def _join_again(self) -> None:
        with suppress(*ERRORS):
            for group, channel in list(self._joined):
                await super().group_add(group, channel)

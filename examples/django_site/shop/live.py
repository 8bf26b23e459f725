"""Telling every open board what has changed: from ordinary sync code, once it is committed.

What enters: saved models. What leaves: messages to a group of the channel layer, in memory or in
Redis; each reaches the boards of all processes. ``async_to_sync`` runs the sending on the server's
own event loop, where the WebSockets are.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from shop.models import Notice, Product

try:
    from redis.exceptions import RedisError
except ModuleNotFoundError:  # the layer is in memory
    BUS_LOST: tuple[type[Exception], ...] = (OSError,)
else:
    BUS_LOST = (OSError, RedisError)

logger = logging.getLogger("django.shop")

GROUP = "quay"
NOTICES = 12


def board() -> dict[str, Any]:
    """Everything on the board."""
    notices = [_notice(notice) for notice in reversed(Notice.objects.all()[:NOTICES])]
    return {"notices": notices, "stock": dict(Product.objects.values_list("slug", "stock"))}


def tell_notice(notice: Notice) -> None:
    """A notice was saved."""
    transaction.on_commit(partial(announce, {"notices": [_notice(notice)]}))


def tell_stock(products: Iterable[Product]) -> None:
    """There are more or fewer of these products now."""
    slugs = [product.slug for product in products]
    transaction.on_commit(lambda: announce({"stock": _stock(slugs)}))


def announce(change: dict[str, Any]) -> None:
    """Send a change to every open board. What is saved stays saved if that fails."""
    send = get_channel_layer().group_send
    message = {"type": "board.changed", "change": change}
    try:
        async_to_sync(twice)(send, GROUP, message)
    except BUS_LOST as error:
        logger.warning("saved, but no open board was told, for want of Redis: %s", error)


async def twice(call: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Once more if it fails: the first connection may be one that ended with an earlier Redis."""
    try:
        await call(*arguments)
    except BUS_LOST:
        await call(*arguments)


def _notice(notice: Notice) -> dict[str, Any]:
    return {"id": notice.pk, "author": notice.author, "text": notice.text}


def _stock(slugs: list[str]) -> dict[str, int]:
    return dict(Product.objects.filter(slug__in=slugs).values_list("slug", "stock"))

"""Sends changes to every open page, from ordinary sync code, after the transaction commits.

Input: saved models. Output: messages to a group of the channel layer. In Redis, they reach the
pages of all processes; in memory, those of this process. ``async_to_sync`` sends them on the
server's event loop, where the WebSockets are.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from shop.models import Notice, Product

try:
    from redis.exceptions import RedisError
except ModuleNotFoundError:  # the layer is in memory
    LAYER_ERRORS: tuple[type[Exception], ...] = (OSError,)
else:
    LAYER_ERRORS = (OSError, RedisError)

logger = logging.getLogger("django.shop")

GROUP = "quay"
NOTICES = 12


def has_websockets(environ: Mapping[str, Any]) -> bool:
    """Whether the page of this request may open a WebSocket.

    On an ASGI server, and under gunicorn, whose sockets bridge takes over, if ``config.asgi`` is
    what it serves.
    """
    if "asgi.scope" in environ:
        return True
    return "gunicorn.socket" in environ and "shop.sockets" in sys.modules


def board() -> dict[str, Any]:
    """The complete board."""
    notices = [_notice(notice) for notice in reversed(Notice.objects.all()[:NOTICES])]
    return {"notices": notices, "stock": dict(Product.objects.values_list("slug", "stock"))}


def send_notice(notice: Notice) -> None:
    """Send a new notice to all open pages."""
    transaction.on_commit(partial(announce, {"notices": [_notice(notice)]}))


def send_stock(products: Iterable[Product]) -> None:
    """Send the stock of these products to all open pages."""
    slugs = [product.slug for product in products]
    transaction.on_commit(lambda: announce({"stock": _stock(slugs)}))


def announce(change: dict[str, Any]) -> None:
    """Send a change to all open pages. If that fails, the saved data is not affected."""
    send = get_channel_layer().group_send
    message = {"type": "board.changed", "change": change}
    try:
        async_to_sync(retry_once)(send, GROUP, message)
    except LAYER_ERRORS as error:
        logger.warning("saved, but not sent to open pages: the channel layer failed: %s", error)


async def retry_once(call: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Call again if the call fails: its connection may be to a Redis that has been restarted."""
    try:
        await call(*arguments)
    except LAYER_ERRORS:
        await call(*arguments)


def _notice(notice: Notice) -> dict[str, Any]:
    return {"id": notice.pk, "author": notice.author, "text": notice.text}


def _stock(slugs: list[str]) -> dict[str, int]:
    return dict(Product.objects.filter(slug__in=slugs).values_list("slug", "stock"))

"""Streams that end with their client under Django 4.2, as they do in later releases.

Input: the async content of a response, and the ``receive`` of its request after the request body.
Output: the same items, until ``http.disconnect`` arrives. Runs on: the event loop.

The ASGI handler of Django 4.2 does not listen for disconnects. uvicorn's ``send`` returns at once
after one, so a file would be read to its end, and a stream that never ends would run for ever.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncGenerator
from typing import Any, cast

from django.core.handlers.asgi import ASGIHandler

from bridge.types import Receive

__all__ = ["DJANGO_LISTENS", "until_disconnect"]

DJANGO_LISTENS = hasattr(ASGIHandler, "listen_for_disconnect")
"""Whether Django itself cancels a stream whose client has left."""


async def until_disconnect(
    content: AsyncGenerator[Any, None], receive: Receive
) -> AsyncGenerator[Any, None]:
    """Yield the items of ``content`` until the client leaves.

    A disconnect cancels ``content`` while it waits, and closes it between two items. The generator
    then ends as if the content had ended, so that Django closes the response.
    """
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    is_waiting = False

    def cancel(_: object) -> None:
        if is_waiting:
            task.cancel()

    listening = asyncio.ensure_future(receive())  # after the body, a disconnect is all that comes
    listening.add_done_callback(cancel)
    try:
        while not listening.done():
            is_waiting = True
            try:
                item = await anext(content)
            except StopAsyncIteration:
                return
            except CancelledError:
                if listening.done() and not task.uncancel():
                    return
                raise
            finally:
                is_waiting = False
            yield item
    finally:
        listening.cancel()
        await content.aclose()

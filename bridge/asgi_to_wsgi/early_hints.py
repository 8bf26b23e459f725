"""Early hints (103) of an ASGI app on a WSGI server that can send them.

What enters: a message ``http.response.early_hint``, on the event loop's thread. What leaves: a call
of ``wsgi.early_hints``, as gunicorn and others have it, on the thread of the request, for it writes
to the client's socket. Servers without it get none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bridge._http.wsgi_head import make_hints
from bridge.errors import ClientDisconnected
from bridge.types import Message, ResponseHeaders, Scope

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.loop_side import AppSide

__all__ = ["send_hints"]

Hint = Callable[[ResponseHeaders], object]


async def send_hints(side: AppSide, scope: Scope, message: Message) -> None:
    """Send them, and wait until they are on their way.

    :raises AppProtocolError: a link would split the response, or is none.
    :raises ClientDisconnected: nobody is there to read them.
    """
    hint: Hint | None = scope.get("wsgi_environ", {}).get("wsgi.early_hints")
    links = make_hints(message)
    if hint is None or side.over:
        return
    try:
        await asyncio.wrap_future(side.run_on_caller(partial(_hint, side, hint, links)))
    except OSError as error:
        side.lose_client()
        raise ClientDisconnected("the client left before the response began") from error


def _hint(side: AppSide, hint: Hint, links: ResponseHeaders) -> None:
    """On the caller's thread; or elsewhere once it has gone on, maybe to the next request on the
    same connection: then it is too late for a hint."""
    if side.jobs is not None and not side.jobs.gone:
        hint(links)

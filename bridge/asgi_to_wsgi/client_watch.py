"""Has the client of a WSGI request left? Asked where nothing is being written that would tell.

What enters: an environ. What leaves: a :class:`ClientWatch`, or None where the server gives no way.
For the server's thread; a look costs one system call and never blocks.

PEP 3333 has no word for this. A server finds out when it writes, so a stream that is silent for
long would hold its thread for as long. gunicorn and Werkzeug leave their socket in the environ, and
waitress a function of its own (of use with ``channel_request_lookahead``).
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bridge._threads.real_threads import real_poll
from bridge.errors import ClientDisconnected
from bridge.types import Environ

__all__ = ["ClientWatch", "client_left", "watch_client"]

_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_POLLRDHUP: int = getattr(select, "POLLRDHUP", 0)  # Linux


@dataclass(frozen=True, slots=True)
class ClientWatch:
    """One server's way to tell.

    :ivar has_left: whether the client has closed its side of the connection.
    :ivar farewell: makes the exception that the server takes for a client that left: it closes the
        connection, and does not log an error.
    """

    has_left: Callable[[], bool]
    farewell: Callable[[], BaseException]


def watch_client(environ: Environ) -> ClientWatch | None:
    """How to find out about the client of this request."""
    ask: Callable[[], bool] | None = environ.get("waitress.client_disconnected")
    if ask is not None:
        return ClientWatch(ask, _waitress_farewell)
    for key in _SOCKETS:
        connection = environ.get(key)
        if connection is not None and _POLLRDHUP and real_poll is not None:
            look = partial(_is_closed, real_poll, connection.fileno())
            return ClientWatch(look, client_left)
    return None


def client_left() -> ClientDisconnected:
    """What gunicorn and others take for a connection that was reset."""
    return ClientDisconnected(errno.ECONNRESET, "the client left before the response was complete")


def _waitress_farewell() -> BaseException:
    from waitress.channel import ClientDisconnected as Left  # type: ignore[import-untyped]

    farewell: BaseException = Left()
    return farewell


def _is_closed(make_poll: Callable[[], Any], descriptor: int) -> bool:
    poll = make_poll()
    poll.register(descriptor, _POLLRDHUP)  # POLLHUP and POLLERR come unasked
    return bool(poll.poll(0))

"""Has the client of a WSGI request disconnected? Polled while nothing is written that would fail.

Runs on the server thread; a poll costs one system call and never blocks.

PEP 3333 offers nothing for this. A server notices a disconnect when it writes, so a stream that is
silent for long would hold its thread for as long. gunicorn and Werkzeug leave their socket in the
environ, and waitress a function of its own (of use with ``channel_request_lookahead``).
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bridge._threads.greenlets import original
from bridge.errors import ClientDisconnected
from bridge.types import Environ

__all__ = ["ClientWatch", "client_disconnected", "watch_client"]

_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_poll: Callable[[], Any] | None = original(select, "poll")
"""The system's, to poll without waiting: gevent's knows fewer events."""
_POLLRDHUP: int = getattr(select, "POLLRDHUP", 0)  # Linux


@dataclass(frozen=True, slots=True)
class ClientWatch:
    """How to notice a disconnect on one server.

    :ivar has_disconnected: whether the client has closed its side of the connection.
    :ivar make_error: makes the exception that the server recognises as a disconnect: it closes the
        connection, and does not log an error.
    """

    has_disconnected: Callable[[], bool]
    make_error: Callable[[], BaseException]


def watch_client(environ: Environ) -> ClientWatch | None:
    """The watch for the client of this request; None where the server offers no way."""
    ask: Callable[[], bool] | None = environ.get("waitress.client_disconnected")
    if ask is not None:
        return ClientWatch(ask, _waitress_error)
    for key in _SOCKETS:
        connection = environ.get(key)
        if connection is not None and _POLLRDHUP and _poll is not None:
            return ClientWatch(partial(_is_closed, _poll, connection.fileno()), client_disconnected)
    return None


def client_disconnected() -> ClientDisconnected:
    """An error that gunicorn and others treat as a connection reset by the client."""
    return ClientDisconnected(
        errno.ECONNRESET, "the client disconnected before the response was complete"
    )


def _waitress_error() -> BaseException:
    from waitress.channel import (  # type: ignore[import-untyped]
        ClientDisconnected as WaitressClientDisconnected,
    )

    error: BaseException = WaitressClientDisconnected()
    return error


def _is_closed(make_poll: Callable[[], Any], descriptor: int) -> bool:
    poll = make_poll()
    poll.register(descriptor, _POLLRDHUP)  # POLLHUP and POLLERR are always reported
    return bool(poll.poll(0))

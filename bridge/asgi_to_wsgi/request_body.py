"""A request body that is read on the server thread, a piece at a time, as the app asks for it.

The loop requests a piece (:meth:`RequestBody.request_more`), the server thread reads it from
``wsgi.input`` (:meth:`RequestBody.read`), the loop gets it (:meth:`RequestBody.feed`) and returns
it to the app as an ``http.request`` message (:meth:`RequestBody.take`).

Rule 1. ``wsgi.input`` is only touched by the server thread, only when the app has asked for more,
        and never past the end of the body.
Rule 2. At most one piece has been requested and not taken. It is kept until it is taken: a
        ``receive()`` that is cancelled loses no bytes.
Rule 3. A body that is in memory already is read before the app starts: reading it cannot block, and
        the first ``receive()`` needs no other thread. Anything else waits for the app: one that
        answers without reading does not wait for a slow client, and the body of a client that
        expects ``100 Continue`` is not requested.
Rule 4. A body that ends before its Content-Length, or whose input raises, has no clean end.
Rule 5. An OSError of the input is the end of the connection. Any other error says more: gunicorn
        raises one of its own for a malformed chunk, and middleware for a body that it limits. It is
        kept for the server, which may have an answer to it, or logged.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any

from bridge.types import Environ, Message

__all__ = ["RequestBody"]

logger = logging.getLogger("bridge.asgi_to_wsgi")


class RequestBody:
    """The body of one request. Made on the server thread.

    :param length: in bytes; None if it ends where ``wsgi.input`` does.
    :param window: how many bytes to read at a time.
    :ivar wanted: the server thread is to read. Set by the loop, cleared by the server thread.
    :ivar is_read: no more bytes will follow. Set by the server thread.
    :ivar pieces: how many have been read.
    :ivar received: how many bytes.
    :ivar error: what the input has raised, if it is no OSError. For the server thread.
    """

    def __init__(self, environ: Environ, length: int | None, window: int) -> None:
        self._stream: Any = environ["wsgi.input"]
        self._left = length
        self._window = window
        self._more_follows = True
        self._requested = False
        self._message: Message | None = None
        self.wanted = False
        self.is_read = False
        self.pieces = 0
        self.received = 0
        self.error: Exception | None = None

        if type(self._stream) is BytesIO:  # Rule 3
            data, more = self.read()
            if data is not None:
                self.feed(data, more)

    # -- on the loop ----------------------------------------------------------------------------

    def take(self) -> Message | None:
        """The piece that was fed, if there is one."""
        message, self._message = self._message, None
        return message

    def request_more(self) -> bool:
        """Have the next piece read. False: it is requested already, or there is no more."""
        if self._requested or not self._more_follows:
            return False
        self._requested = self.wanted = True
        return True

    def feed(self, data: bytes, more: bool) -> None:
        """What :meth:`read` has returned."""
        self._requested = False
        self._more_follows = more
        self._message = {"type": "http.request", "body": data, "more_body": more}

    # -- on the server thread -------------------------------------------------------------------

    def read(self) -> tuple[bytes | None, bool]:
        """Read the piece that was requested.

        :returns: the next bytes, and whether more will follow; None if the body is cut short.
        """
        self.wanted = False
        left = self._left
        try:
            data = self._read_some(self._window if left is None else min(self._window, left))
        except OSError as error:
            logger.debug("reading wsgi.input raised %r", error)
            return None, False
        except Exception as error:
            self.error = error
            return None, False
        self.pieces += 1
        self.received += len(data)
        if left is None:
            self.is_read = not data
            return data, bool(data)
        if not data:
            return None, False
        self._left = left = left - len(data)
        self.is_read = not left
        return data, left > 0

    def _read_some(self, size: int) -> bytes:
        """The bytes that have arrived, if the stream can return them; else waits for ``size``."""
        read = getattr(self._stream, "read1", None) or self._stream.read
        data: bytes = read(size)
        return data

"""A request body that is read on the caller's thread, a piece at a time, as the app asks for it.

What enters: ``wsgi.input``. What leaves: ``http.request`` messages. The event loop asks
(:meth:`PulledBody.ask`), the caller reads (:meth:`PulledBody.read`), the loop hears of it
(:meth:`PulledBody.arrive`) and takes the message.

Rule 1. ``wsgi.input`` is only touched by the caller, only when the app has asked for more, and
        never past the end of the body.
Rule 2. At most one piece has been asked for and not taken. It belongs to nobody until it is taken:
        a ``receive()`` that is given up loses no bytes.
Rule 3. What is in memory already is read before the app starts: no read can block there, and the
        first ``receive()`` needs nobody. Anything else waits for the app: one that answers without
        reading does not wait for a slow client, and nothing asks for the body of a client that
        expects ``100 Continue``.
Rule 4. A body that ends before its Content-Length, or whose input raises, has no clean end.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any

from bridge.types import Environ, Message

__all__ = ["PulledBody"]

logger = logging.getLogger("bridge.asgi_to_wsgi")


class PulledBody:
    """The body of one request.

    :param length: in bytes; None if it ends where ``wsgi.input`` does.
    :param window: how many bytes to read at a time.
    :ivar wanted: the app waits for the caller to read. Set by the loop, taken back by the caller.
    :ivar is_read: no more bytes will come. Set by the caller.

    Made on the caller's thread.
    """

    def __init__(self, environ: Environ, length: int | None, window: int) -> None:
        self._stream: Any = environ["wsgi.input"]
        self._left = length
        self._window = window
        self._due = True
        self._asked = False
        self._arrived: Message | None = None
        self.wanted = False
        self.is_read = False

        if type(self._stream) is BytesIO:  # Rule 3
            data, more = self.read()
            if data is not None:
                self.arrive(data, more)

    # -- on the loop ----------------------------------------------------------------------------

    def take(self) -> Message | None:
        """The piece that has arrived, if one has."""
        message, self._arrived = self._arrived, None
        return message

    def ask(self) -> bool:
        """Let more come. False: it is on its way, or there is no more."""
        if self._asked or not self._due:
            return False
        self._asked = self.wanted = True
        return True

    def arrive(self, data: bytes, more: bool) -> None:
        """What :meth:`read` has returned."""
        self._asked = False
        self._due = more
        self._arrived = {"type": "http.request", "body": data, "more_body": more}

    # -- on the caller's thread -----------------------------------------------------------------

    def read(self) -> tuple[bytes | None, bool]:
        """Read what was asked for.

        :returns: the next bytes, and whether more will follow; None if the body is cut short.
        """
        self.wanted = False
        left = self._left
        try:
            data = self._read_some(self._window if left is None else min(self._window, left))
        except Exception as error:
            # An OSError is the connection's end; anything else has something to tell, and nobody
            # else would: the limit of a middleware, or its bug.
            level = logging.DEBUG if isinstance(error, OSError) else logging.WARNING
            logger.log(level, "reading wsgi.input raised %r", error, exc_info=error)
            return None, False
        if left is None:
            self.is_read = not data
            return data, bool(data)
        if not data:
            return None, False
        self._left = left = left - len(data)
        self.is_read = not left
        return data, left > 0

    def _read_some(self, size: int) -> bytes:
        """What is there, where the server can tell; else it waits until there is ``size``."""
        read = getattr(self._stream, "read1", None) or self._stream.read
        data: bytes = read(size)
        return data

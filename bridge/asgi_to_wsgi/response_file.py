"""A file that an ASGI app sends by its path: opened before the app's ``send()`` returns.

The loop wants it (:class:`FileOpening`), the server thread opens it, since that may block, and
``send()`` waits. So the app may delete the file afterwards, as a background task of Starlette's
``FileResponse`` does; and it sees an error while it can still send something else.

Only while the server thread runs sync code for the app, the loop opens the file itself: that code
may be what waits for ``send()``.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from bridge._http.client_text import ClientText
from bridge.errors import AppProtocolError

__all__ = ["FileOpening", "ResponseFile"]


class ResponseFile(io.FileIO):
    """It ends with the response's Content-Length, if there is one: the file may have grown since
    the app read its size.

    :param length: the Content-Length that the app has set, in bytes.
    :raises OSError: it cannot be opened.
    :raises AppProtocolError: it is shorter: the client would wait for the rest, or read the next
        response on the connection as the rest.
    """

    def __init__(self, path: str, length: int | None) -> None:
        super().__init__(path)
        self._length = length
        size = os.fstat(self.fileno()).st_size
        if length is not None and size < length:
            self.close()
            raise AppProtocolError(
                f"{ClientText(path)} is shorter than its Content-Length: {length - size} bytes "
                "are missing"
            )

    def is_empty(self) -> bool:
        status = os.fstat(self.fileno())
        return stat.S_ISREG(status.st_mode) and not status.st_size

    def read(self, size: int | None = -1, /) -> Any:
        if self._length is not None:
            left = self._length - self.tell()
            size = left if size is None or size < 0 else min(size, left)
        return super().read(size)


class FileOpening:
    """One call of ``send()`` that waits for its file. Made on the loop.

    :ivar done: the server thread has tried; set last.
    :ivar file: it is open. The thread side passes it to the server, or closes it.
    :ivar error: why it is not.
    """

    def __init__(self, path: str, length: int | None) -> None:
        self._path = path
        self._length = length
        self.done = False
        self.file: ResponseFile | None = None
        self.error: Exception | None = None

    def open(self) -> None:
        """Open the file. Errors of the app are kept for ``send()``."""
        try:
            self.file = ResponseFile(self._path, self._length)
        except Exception as error:
            self.error = error
        self.done = True

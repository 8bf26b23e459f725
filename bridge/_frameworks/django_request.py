"""Django's request, with a body that comes without Content-Length.

What enters: an environ, on the thread that runs the app. What leaves: a request that reads all of
it. PEP 3333 has a body end after ``CONTENT_LENGTH`` bytes, and so has Django: without one it takes
the body for empty. Where ``wsgi.input_terminated`` is set, the stream knows itself where it ends:
`to_asgi` sets it, and so do WSGI servers that take chunked bodies.

Imports Django; see :mod:`bridge._frameworks.django`.
"""

from __future__ import annotations

import sys
from io import BytesIO, IOBase
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIRequest

from bridge.types import Environ

__all__ = ["StreamedRequest"]


class StreamedRequest(WSGIRequest):
    """A `WSGIRequest` that came through `to_asgi`, or from a WSGI server."""

    def __init__(self, environ: Environ) -> None:
        super().__init__(environ)
        self._unannounced = _unannounced(environ)
        if self._unannounced is not None:
            self._stream: Any = self._unannounced

    @property
    def body(self) -> bytes:
        """Django's own.

        :raises RequestDataTooBig: there is more of it than ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
        """
        if self._unannounced is not None:
            self._unannounced.limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return super().body

    def parse_file_upload(self, META: Any, post_data: Any) -> Any:
        """Django's own, whose parser takes a body without a length for none.

        Upload handlers are told of an endless one: those that keep files in memory stand back.
        """
        if self._unannounced is not None:
            length = len(self._body) if hasattr(self, "_body") else sys.maxsize
            META = {**META, "CONTENT_LENGTH": str(length)}
        return super().parse_file_upload(META, post_data)


def _unannounced(environ: Environ) -> _Unannounced | None:
    """The body of a request without Content-Length, if there may be one."""
    stream = environ["wsgi.input"]
    whole = type(stream) is BytesIO  # then to_asgi has seen that it is empty
    if whole or environ.get("CONTENT_LENGTH") or not environ.get("wsgi.input_terminated"):
        return None
    return _Unannounced(stream)


class _Unannounced(IOBase):
    """A body of unknown length, which ends by itself.

    Django compares Content-Length with ``DATA_UPLOAD_MAX_MEMORY_SIZE`` before it reads a body into
    memory. Here there is none to compare: it is the reading that stops.

    :ivar limit: how many bytes reading all of it may bring; None for any number.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.limit: int | None = None

    def readline(self, size: int | None = -1, /) -> bytes:
        """A line, as Django's ``LimitedStream`` reads it."""
        line: bytes = self._stream.readline(-1 if size is None else size)
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Some of it, or all of it.

        :raises RequestDataTooBig: all of it is more than ``limit``.
        """
        limit = self.limit
        if (size is not None and size >= 0) or limit is None:
            part: bytes = self._stream.read(-1 if size is None else size)
            return part
        body: bytes = self._stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
        return body

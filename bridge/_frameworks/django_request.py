"""Django's request, for bodies without a Content-Length, too.

Input: an environ, on the thread that runs the app. Output: a request that reads the whole body.
According to PEP 3333 a body ends after ``CONTENT_LENGTH`` bytes, so Django treats a body without it
as empty. If ``wsgi.input_terminated`` is set, the stream itself ends where the body ends: `to_asgi`
sets it, and so do WSGI servers that accept chunked bodies.

Imports Django; see :mod:`bridge._frameworks.django`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO, IOBase
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIRequest

from bridge.types import Environ

__all__ = ["StreamedRequest"]


class StreamedRequest(WSGIRequest):
    """A `WSGIRequest` from `to_asgi`, or from a WSGI server."""

    def __init__(self, environ: Environ) -> None:
        super().__init__(environ)
        self._body_stream = _open_body(environ)
        if self._body_stream is not None:
            self._stream: Any = self._body_stream

    @property
    def body(self) -> bytes:
        """As in Django.

        :raises RequestDataTooBig: the body is longer than ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
        """
        if self._body_stream is not None:
            self._body_stream.limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return super().body

    def parse_file_upload(self, META: Any, post_data: Any) -> Any:
        """As in Django, whose parser treats a body without a length as empty.

        Upload handlers get ``sys.maxsize`` as the length, so handlers that keep files in memory
        reject the upload.
        """
        if self._body_stream is not None:
            length = len(self._body) if hasattr(self, "_body") else sys.maxsize
            META = {**META, "CONTENT_LENGTH": str(length)}
        return super().parse_file_upload(META, post_data)


def _open_body(environ: Environ) -> _BodyOfUnknownLength | None:
    """The body of a request without a Content-Length, if it can have one."""
    stream = environ["wsgi.input"]
    is_empty = type(stream) is BytesIO  # to_asgi passes one with a length otherwise
    if is_empty or environ.get("CONTENT_LENGTH") or not environ.get("wsgi.input_terminated"):
        return None
    return _BodyOfUnknownLength(stream)


class _BodyOfUnknownLength(IOBase):
    """A body that ends where its stream ends.

    Django compares Content-Length with ``DATA_UPLOAD_MAX_MEMORY_SIZE`` before it reads a body into
    memory. Without Content-Length, reading stops at the limit instead.

    :ivar limit: how many bytes a read of the whole body may return; None for no limit.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.limit: int | None = None

    def readline(self, size: int | None = -1, /) -> bytes:
        """A line, as from Django's ``LimitedStream``."""
        return _read(self._stream.readline, size)

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, or the whole body.

        :raises RequestDataTooBig: the whole body is longer than ``limit``.
        """
        limit = self.limit
        if (size is not None and size >= 0) or limit is None:
            return _read(self._stream.read, size)
        body = _read(self._stream.read, limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig("Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.")
        return body


def _read(method: Callable[..., bytes], size: int | None) -> bytes:
    """Call a method of a server's input.

    :param size: None or negative: without a size, which PEP 3333 allows. granian's input takes no
        negative one.
    :raises OSError: Django makes it an ``UnreadablePostError``. gunicorn has an error of its own
        for a malformed chunk.
    """
    try:
        return method() if size is None or size < 0 else method(size)
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error)) from error

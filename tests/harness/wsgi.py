"""A WSGI server without a network: runs an app in this process, on the test's thread.

Input: an environ and the bytes of a request body. Output: the status, headers and body, checked by
``wsgiref.validate``.

:func:`call` sends a request and returns the response. With :class:`WsgiExchange` a test reads the
body in parts and closes it early, as a server does after a disconnect.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from bridge.types import Environ, OptExcInfo, ResponseHeaders, Write, WsgiApp
from tests.harness.http import Response

TIMEOUT_S = 15.0
RESULT_TIMEOUT_S = 120.0
"""Only ends a hang: longer than many concurrent clients may need on a busy machine."""


def environ_of(
    method: str = "GET",
    path: str = "/",
    *,
    query: str = "",
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    keys: Mapping[str, Any] | None = None,
    **extra: Any,
) -> Environ:
    """An environ like gunicorn's.

    :param path: bytes decoded as latin-1 (PEP 3333).
    :param keys: keys to add or replace, like ``extra``.
    """
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "testserver",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
    }
    setup_testing_defaults(environ)
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ.update(keys or {})
    environ.update(extra)
    return environ


class WsgiExchange:
    """One request to an app and its response; the test acts as the server.

    ::

        with WsgiExchange(app, environ_of()) as exchange:
            assert exchange.status == "200 OK"
            first = exchange.chunk()

    The end of the block closes the response, as PEP 3333 requires of a server.

    :ivar status: the status passed to ``start_response``.
    :ivar headers: the headers passed to ``start_response``.
    """

    def __init__(self, app: WsgiApp, environ: Environ, *, validate: bool = True) -> None:
        self.status = ""
        self.headers: ResponseHeaders = []
        self._starts = 0
        self._written: list[bytes] = []
        checked: Callable[..., Any] = validator(app) if validate else app
        self._result: Any = checked(environ, self._start_response)
        self._chunks: Iterator[bytes] = iter(self._result)

    def __enter__(self) -> WsgiExchange:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _start_response(
        self, status: str, headers: ResponseHeaders, exc_info: OptExcInfo = None, /
    ) -> Write:
        self._starts += 1
        assert self._starts == 1 or exc_info, "start_response was called twice"
        self.status, self.headers = status, headers
        return self._written.append

    def chunk(self) -> bytes:
        """The next non-empty chunk of the body; empty at its end."""
        return next((chunk for chunk in self._chunks if chunk), b"")

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def _all(self) -> Iterator[bytes]:
        """The chunks of the body, with the data of ``write()`` in order of the calls."""
        for chunk in self._chunks:
            yield from self._written
            self._written.clear()
            yield chunk
        yield from self._written

    def close(self) -> None:
        """Close the iterable, as a server does at the end or after a disconnect."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()

    def read(self) -> Response:
        """Read the whole response and close it."""
        try:
            body = b"".join(self._all())
        finally:
            self.close()
        fields = tuple((name.lower(), value) for name, value in self.headers)
        return Response(int(self.status.split(" ")[0]), fields, body)


def call(app: WsgiApp, environ: Environ, *, validate: bool = True) -> Response:
    """Send one request. Raises what the app raises."""
    return WsgiExchange(app, environ, validate=validate).read()


class Background:
    """A function call on another thread.

    ::

        running = Background(call, app, environ_of())
        response = running.result()
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call: Callable[[], Any] = partial(function, *args, **kwargs)
        self._value: Any = None
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the function. Returns what it returned, or raises what it raised."""
        self.thread.join(RESULT_TIMEOUT_S)
        assert not self.thread.is_alive(), f"the call still runs after {RESULT_TIMEOUT_S} s"
        if self._error is not None:
            raise self._error
        return self._value


class FedInput(io.RawIOBase):
    """A ``wsgi.input`` without ``read1``, which blocks until the test feeds it.

    :ivar reads: the sizes of the reads so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []
        self._pieces: list[bytes | Exception] = []
        self._changed = threading.Condition()

    def feed(self, *pieces: bytes | Exception) -> None:
        """Add data; ``b""`` is the end, and an exception is raised by the read."""
        with self._changed:
            self._pieces += pieces
            self._changed.notify_all()

    def wait_for_reads(self, count: int) -> None:
        """Wait for ``count`` calls of ``read``."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.reads) >= count, TIMEOUT_S)

    def read(self, size: int = -1, /) -> bytes:
        with self._changed:
            self.reads.append(size)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: bool(self._pieces), TIMEOUT_S)
            piece = self._pieces[0]
            if isinstance(piece, Exception):
                raise piece
            taken, rest = piece[:size], piece[size:]
            if rest:
                self._pieces[0] = rest
            elif piece:
                del self._pieces[0]
            return taken

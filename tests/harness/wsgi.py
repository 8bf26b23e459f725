"""Speaks PEP 3333 to an app in this process, as a WSGI server would, on the test's own thread.

What enters: an environ and the bytes of a request body. What leaves: the status, the headers and
the body, checked by ``wsgiref.validate`` on the way.

:func:`call` is one whole exchange; :class:`WsgiExchange` lets a test take the body piece by piece,
and close it early as a server does when its client leaves.
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
"""Longer than many clients at once may wait on a busy machine. It only ends a hang."""


def environ_of(
    method: str = "GET",
    path: str = "/",
    *,
    query: str = "",
    body: bytes | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    keys: Mapping[str, Any] | None = None,
    **further: Any,
) -> Environ:
    """An environ as gunicorn makes it.

    :param path: with latin-1 decoded bytes, as PEP 3333 has it.
    :param keys: replace or add; so do ``further`` ones.
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
    environ.update(further)
    return environ


class WsgiExchange:
    """One request to an app, with the test in the server's place.

    ::

        with WsgiExchange(app, environ_of()) as exchange:
            assert exchange.status == "200 OK"
            first = exchange.chunk()

    Leaving the block closes the response, as PEP 3333 asks of a server.

    :ivar status: as given to ``start_response``.
    :ivar headers: likewise.
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
        """The next piece of the body that is not empty; empty once it has ended."""
        return next((chunk for chunk in self._chunks if chunk), b"")

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def _all(self) -> Iterator[bytes]:
        """The body, with what went through ``write()`` at the time when it did."""
        for chunk in self._chunks:
            yield from self._written
            self._written.clear()
            yield chunk
        yield from self._written

    def close(self) -> None:
        """What a server does at the end, or when its client has left."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()

    def read(self) -> Response:
        """The whole response, closed."""
        try:
            body = b"".join(self._all())
        finally:
            self.close()
        fields = tuple((name.lower(), value) for name, value in self.headers)
        return Response(int(self.status.split(" ")[0]), fields, body)


def call(app: WsgiApp, environ: Environ, *, validate: bool = True) -> Response:
    """One whole exchange. Raises what the app raises."""
    return WsgiExchange(app, environ, validate=validate).read()


class Background:
    """Something that a test runs on another thread, and waits for.

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
        """What the function returned. Raises what it raised."""
        self.thread.join(RESULT_TIMEOUT_S)
        assert not self.thread.is_alive(), f"it still runs after {RESULT_TIMEOUT_S} s"
        if self._error is not None:
            raise self._error
        return self._value


class OneWay(io.RawIOBase):
    """A body that comes when the test says so: a ``wsgi.input`` without ``read1``.

    :ivar reads: the sizes that the app's side has asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []
        self._pieces: list[bytes | Exception] = []
        self._changed = threading.Condition()

    def feed(self, *pieces: bytes | Exception) -> None:
        """Let these come; ``b""`` is the end, an exception is raised to whoever reads."""
        with self._changed:
            self._pieces += pieces
            self._changed.notify_all()

    def until_read(self, count: int) -> None:
        """Wait until it has been read ``count`` times."""
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

"""The record of a request to a WSGI app. Runs on the server thread.

Wraps ``start_response`` and the iterable: counts bytes, notes the status, adds headers to the
response. Blocks of the body are passed on one by one, as the app yields them.

Rule 1. A request ends with ``close()`` of its iterable (PEP 3333), or with what the app raises
        before it returns one. The server may call ``close()`` on another thread.
Rule 2. A file goes to the server as it is: servers recognise their own ``wsgi.file_wrapper`` by its
        class. Its ``close`` is replaced; where it has none to replace, as the wrappers of servers
        that are written in C, the request ends when the server gets it.
Rule 3. A server that stops iterating has lost its client. But it need not iterate at all for HEAD,
        204 and 304, nor beyond the Content-Length.
Rule 4. ``wsgi.input`` is wrapped only where there is a body: adapters and servers look for the
        connection of a WebSocket there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from functools import partial
from typing import Any

from bridge._frameworks.facts import INPUTS_WITH_AN_END
from bridge._http.environ_to_scope import is_websocket
from bridge._http.rules import parse_length
from bridge._observe.crossings import is_counted
from bridge._observe.record import RECORD, RequestRecord, enter, leave
from bridge._observe.settings import Settings, added_headers, proxy_wait_s, request_id_of
from bridge.types import Environ, OptExcInfo, ResponseHeaders, StartResponse, Write, WsgiApp

__all__ = ["Exchange", "ObservedWsgi"]

_ID = "HTTP_X_REQUEST_ID"
_START = "HTTP_X_REQUEST_START"


class ObservedWsgi:
    """A PEP 3333 app whose requests are recorded."""

    __bridge_interface__ = "wsgi"

    def __init__(self, app: WsgiApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self._reads_headers = settings.reads_headers

    def __repr__(self) -> str:
        return f"observe({self.app!r})"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """PEP 3333."""
        settings = self.settings
        if settings.skips_counted and is_counted(environ):
            return self.app(environ, start_response)
        record: RequestRecord | None = environ.get(RECORD)
        if record is not None:
            if self._reads_headers:
                self._read_headers(environ, record)
            record.start(settings.observers)
            return self.app(environ, start_response)
        record = environ[RECORD] = RequestRecord(
            "websocket" if "HTTP_UPGRADE" in environ and is_websocket(environ) else "http",
            method=environ["REQUEST_METHOD"],
            path=_path(environ),
            client=environ.get("REMOTE_ADDR") or None,
        )
        if self._reads_headers:
            self._read_headers(environ, record)
        _count_input(environ, record)
        record.thread_starts()
        exchange = Exchange(record, start_response)
        exchange.token = enter(record)
        try:
            record.start(settings.observers)
            result = self.app(environ, exchange.start_response)
            return exchange.response(result, environ.get("wsgi.file_wrapper"))
        except BaseException as error:
            exchange.end(error)
            raise

    def _read_headers(self, environ: Environ, record: RequestRecord) -> None:
        """Set what another middleware has not set already.

        :param environ: gets the id, too.
        """
        settings = self.settings
        if settings.server_timing:
            record.sends_timing = True
        if settings.request_start and not record.proxy_wait_s and _START in environ:
            record.proxy_wait_s = proxy_wait_s(environ[_START])
        if settings.request_id and record.request_id is None:
            record.request_id = environ[_ID] = request_id_of(environ.get(_ID))


def _path(environ: Environ) -> str:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


class Exchange:
    """One request: its ``start_response``, and what is counted of its response.

    :ivar token: restores the current request of this context, if this one is that.
    """

    __slots__ = (
        "_ended",
        "_length",
        "_server",
        "_write",
        "bodyless",
        "record",
        "token",
    )

    def __init__(self, record: RequestRecord, start_response: StartResponse) -> None:
        self.record = record
        self.token: Token[RequestRecord | None] | None = None
        self._server = start_response
        self._write: Write | None = None
        self.bodyless = record.method == "HEAD"
        self._length: int | None = None
        self._ended = False

    def start_response(
        self, status: str, response_headers: ResponseHeaders, exc_info: OptExcInfo = None
    ) -> Write:
        """PEP 3333's ``start_response``; the parameters have its names."""
        headers = response_headers
        if self.record.request_id is not None or self.record.sends_timing:
            headers = [*headers, *added_headers(self.record, _has_id(headers))]
        write: Write | None
        try:
            if exc_info is None:
                write = self._server(status, headers)
            else:
                write = self._server(status, headers, exc_info)
        finally:
            exc_info = None  # PEP 3333: avoid a reference cycle
        self._note_head(status, headers)
        if write is None:  # granian's start_response() returns nothing
            return write
        self._write = write
        return self.write

    def _note_head(self, status: str, headers: ResponseHeaders) -> None:
        code = int(status[:3]) if status[:3].isdecimal() else 0
        self.record.status = code or None
        self.bodyless = self.record.method == "HEAD" or code in (204, 304) or code < 200
        self._length = None
        for name, value in headers:
            if len(name) == 14 and name.lower() == "content-length":
                self._length = parse_length(value)

    def force_close(self) -> None:
        """Have gunicorn close the connection after the response. Looked up by an adapter that takes
        the connection over."""
        force_close = getattr(getattr(self._server, "__self__", None), "force_close", None)
        if force_close is not None:
            force_close()

    def write(self, data: bytes) -> object:
        """PEP 3333's ``write``. What it raises is of the server: its client has disconnected."""
        write = self._write
        assert write is not None  # else the app has not got this method
        try:
            result = write(data)
        except OSError:
            self.record.disconnected = True
            raise
        self.record.sent_bytes += len(data)
        return result

    # -- the response ---------------------------------------------------------------------------

    def response(self, result: Any, wrapper: object) -> Iterable[bytes]:
        """What the server gets in place of ``result``.

        :param wrapper: ``wsgi.file_wrapper``.
        """
        if isinstance(wrapper, type) and isinstance(result, wrapper):
            return self._file(result)
        if type(result) is list or type(result) is tuple:
            return _List(self, result)
        return _Body(self, result)

    def _file(self, result: Any) -> Iterable[bytes]:
        record = self.record
        if not self.bodyless:
            record.sent_bytes += self._length if self._length is not None else _size_of(result)
        close: Callable[[], object] | None = getattr(result, "close", None)

        def close_and_end() -> None:
            try:
                if close is not None:
                    close()
            except BaseException as error:
                self.end(error)
                raise
            self.end()

        try:
            result.close = close_and_end
        except AttributeError:  # Rule 2
            self.end()
        file: Iterable[bytes] = result
        return file

    def stopped(self) -> None:
        """The server has not iterated to the end: Rule 3."""
        length = self._length
        if not (self.bodyless or (length is not None and self.record.sent_bytes >= length)):
            self.record.disconnected = True

    def end(self, error: BaseException | None = None) -> None:
        """The request is over. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        if error is not None:
            self.record.has_failed(error)
        self.record.end()
        if self.token is not None:
            leave(self.record, self.token)


class _Body:
    """PEP 3333's iterable of one response."""

    def __init__(self, exchange: Exchange, result: Iterable[bytes]) -> None:
        self._exchange = exchange
        self._result = result
        self._iterator: Iterator[bytes] | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            iterator = self._iterator
            if iterator is None:
                iterator = self._iterator = iter(self._result)
            block = next(iterator)
        except StopIteration:
            self._is_over = True
            raise
        except BaseException as error:
            self._is_over = True
            self._exchange.record.has_failed(error)
            raise
        if isinstance(block, bytes) and not self._exchange.bodyless:
            self._exchange.record.sent_bytes += len(block)
        return block

    def close(self) -> None:
        """The server has finished with the response, complete or not."""
        exchange = self._exchange
        if not self._is_over:
            exchange.stopped()
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.end()


class _List(_Body):
    """The same of a list: servers take a Content-Length from one with a single block."""

    def __len__(self) -> int:
        return len(self._result)  # type: ignore[arg-type]  # a list or a tuple


def _has_id(headers: ResponseHeaders) -> bool:
    return any(len(name) == 12 and name.lower() == "x-request-id" for name, _ in headers)


def _size_of(wrapper: Any) -> int:
    """What is left of the file in a ``wsgi.file_wrapper``, in bytes; 0 if that cannot be known."""
    file = getattr(wrapper, "filelike", None) or getattr(wrapper, "file", None)
    try:
        return os.fstat(file.fileno()).st_size - int(file.tell())  # type: ignore[union-attr]
    except (AttributeError, OSError, TypeError, ValueError):
        return 0


# -- the request body ------------------------------------------------------------------------------


def _count_input(environ: Environ, record: RequestRecord) -> None:
    length = environ.get("CONTENT_LENGTH")
    if (not length or length == "0") and "HTTP_TRANSFER_ENCODING" not in environ:
        return
    stream = environ.get("wsgi.input")
    if stream is None:
        return
    if type(stream).__module__ in INPUTS_WITH_AN_END:
        environ["wsgi.input_terminated"] = True
    environ["wsgi.input"] = _CountedInput(stream, record)


class _CountedInput:
    """A ``wsgi.input`` that counts what is read from it. Everything else is that of the server."""

    def __init__(self, stream: Any, record: RequestRecord) -> None:
        self._stream = stream
        self._record = record

    def __getattr__(self, name: str) -> Any:
        """Not every server has ``read1`` and ``readinto``, and some look for other attributes."""
        value = getattr(self._stream, name)
        if name == "read1":
            return lambda *size: self._counted(value(*size))
        if name == "readinto":
            return partial(self._read_into, value)
        return value

    def _read_into(self, readinto: Callable[[Any], int | None], buffer: Any) -> int | None:
        count = readinto(buffer)
        self._record.received_bytes += count or 0
        return count

    def _counted(self, data: bytes) -> bytes:
        self._record.received_bytes += len(data)
        return data

    def read(self, *size: int) -> bytes:
        """As PEP 3333's."""
        return self._counted(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """As PEP 3333's."""
        return self._counted(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """As PEP 3333's."""
        lines: list[bytes] = self._stream.readlines(*hint)
        self._record.received_bytes += sum(map(len, lines))
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._counted(line)

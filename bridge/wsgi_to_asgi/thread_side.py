"""The thread side of a request through `WsgiToAsgi`: runs the app on one worker thread.

The response goes to the event loop through a
:class:`~bridge.wsgi_to_asgi.bodies.ResponseBody` and three slots that the loop reads: ``head``,
``ended``, ``done``.

Rule 1. :meth:`ThreadSide.run` runs wholly on one worker thread: the call, the iteration and
        ``close()``, in one copied context. The loop never touches the app or its iterable, unless
        the thread leaves it a ``rest``: from ``done`` on the response belongs to the loop.
Rule 2. The worker writes its slots in the order head, chunks, ``ended``, ``error``, ``done``, and
        notifies after each step; the loop reads them in the opposite order. So if the loop sees one
        of them set, it also sees what was written before.
Rule 3. Every promise about the response is kept where the bytes are written: nothing before the
        head, no body where none is allowed, never more than Content-Length, never a clean end with
        less. What an app sends beyond its Content-Length is dropped with a warning, as on most WSGI
        servers; with the option ``strict`` it is an error.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from contextvars import copy_context
from time import monotonic
from typing import Any, ClassVar

from bridge._frameworks.sentry import WRAPPER
from bridge._frameworks.werkzeug import wrapper_of_range
from bridge._http.client_text import ClientText, literal
from bridge._http.response_heads import AsgiHead, head_for_asgi
from bridge._http.rules import too_long, too_short
from bridge._http.sendfile import (
    PATHSEND,
    FileWrapper,
    is_at,
    plan_file,
    reads_on_any_thread,
)
from bridge._observe.record import RECORD, RequestRecord
from bridge._repeated_log import RepeatedLog
from bridge._threads.asgiref_state import (
    LOOP,
    rehome,
    set_loop_of_this_thread,
    this_thread,
)
from bridge._threads.job import Job
from bridge.errors import AppProtocolError, ClientDisconnected
from bridge.types import Environ, Message, OptExcInfo, ResponseHeaders, Scope, WsgiApp
from bridge.wsgi_to_asgi.bodies import SLOW_S, ResponseBody, check_chunk
from bridge.wsgi_to_asgi.django_streams import stream_of
from bridge.wsgi_to_asgi.rest import FileRest, Rest

__all__ = ["ThreadSide"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

FILE_BLOCK = 262144
"""How much of a file is read at a time: each block is handed over to another thread."""


class ThreadSide(Job):
    """One HTTP request, as a job of the pool: calls the app and writes its response.

    :param strict: a body that is longer than its Content-Length is an error.
    :ivar head: of the response, once the app cannot change it any more. Once ``ended`` is set, its
        ``content_length`` is that of what is sent, unless a ``rest`` or a ``file`` follows.
    :ivar ended: the body is complete.
    :ivar error: what the app raised, or what it did wrong.
    :ivar file: instead of a body, the message that lets the server send a file.
    :ivar rest: what the loop sends after the body, once ``done`` is set.
    :ivar done: the thread has finished with this request, ``close()`` included if there is no rest.
    :ivar left_at: ``time.monotonic()`` when the thread was free again; set before ``done``, only if
        it has run.
    :ivar on_late_end: called, if it is set, when a request that its client has left is done.
    :ivar refused: why the app has not been called: the request had waited in an overloaded pool.
    :cvar made_as: the class that adapters make: this one, or in its place one that observes it.
    """

    is_request = True

    __slots__ = (
        "_app",
        "_close",
        "_cut",
        "_drops_body",
        "_environ",
        "_left",
        "_loop",
        "_proposed",
        "_scope",
        "_strict",
        "body",
        "context",
        "done",
        "ended",
        "error",
        "file",
        "head",
        "left_at",
        "on_late_end",
        "refused",
        "rest",
    )
    _close: Callable[[], object] | None  # of a response that has a rest
    left_at: float
    on_late_end: Callable[[], object]
    made_as: ClassVar[type[ThreadSide]]

    def __init__(
        self,
        app: WsgiApp,
        environ: Environ,
        scope: Scope,
        loop: AbstractEventLoop,
        body: ResponseBody,
        strict: bool,
    ) -> None:
        self._app = app
        self._environ = environ
        self._scope = scope
        self._loop = loop
        self._strict = strict
        self._cut = False  # the app has sent more than its Content-Length
        self._drops_body = False
        self._left: int | None = None  # bytes of Content-Length not yet written
        self._proposed: AsgiHead | None = None
        self.body = body
        self.context = copy_context()
        self.head: AsgiHead | None = None
        self.file: Message | None = None
        self.rest: Rest | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.done = False
        self.refused: BaseException | None = None
        self.posted_at = monotonic()

    @property
    def scope(self) -> Scope:
        """Of the request."""
        return self._scope

    @property
    def input(self) -> Any:
        """``wsgi.input``, until the app is called."""
        return self._environ["wsgi.input"]

    @property
    def path_info(self) -> str:
        """The path below the mount point: PEP 3333's ``PATH_INFO``."""
        path: str = self._environ.get("PATH_INFO", "")
        return path

    # -- the pool's side: Job -------------------------------------------------------------------

    def run(self) -> None:
        """Serve the request. On a worker thread; never raises."""
        record: RequestRecord | None = self._scope.get(RECORD)
        if record is not None:
            record.thread_starts(self.posted_at)
        if not self.body.disconnected:  # it may be, after the wait for a thread
            if getattr(this_thread, LOOP, None) is not self._loop:
                set_loop_of_this_thread(self._loop)  # for async_to_sync in the app
            try:
                self.context.run(self._serve)
            except BaseException as error:  # asgiref's, on moving the context
                self.add_error(error)
        if record is not None:
            record.thread_ends()
        self.left_at = monotonic()
        self.done = True
        self.body.flush()

    def close_rest(self) -> None:
        """Call the app's ``close()`` after the rest. On a thread; never raises."""
        self.rest = None
        set_loop_of_this_thread(self._loop)
        record: RequestRecord | None = self._scope.get(RECORD)
        if record is not None:
            record.thread_starts()
        try:
            self.context.run(self._close_late)
        except BaseException as error:
            self.add_error(error)
        if record is not None:
            record.thread_ends()

    def remind(self) -> None:
        """It waits for long: wake the loop, which notices a disconnect from then on."""
        self.body.notify()

    def subject(self) -> object:
        return self._environ

    def is_pending(self) -> bool:
        return not self.body.disconnected

    def refuse(self, error: BaseException) -> None:
        self._leave_queue()
        self.refused = error
        self.done = True
        self.body.flush()

    def discard(self, error: BaseException | None = None) -> None:
        """The pool was shut down, or dropped this job, before it started."""
        self._leave_queue()
        self.error = ClientDisconnected("the pool dropped the request before it started")
        self.done = True
        self.body.flush()

    def _leave_queue(self) -> None:
        record: RequestRecord | None = self._scope.get(RECORD)
        if record is not None and not self.done:
            record.is_served(self.posted_at)

    # -- the app --------------------------------------------------------------------------------

    def _serve(self) -> None:
        result: Any = None
        if self.context:
            rehome(self.context)
        try:
            result = self._app(self._environ, self.start_response)
            self._send(result)
        except BaseException as error:
            self.add_error(error)
        try:
            close = getattr(result, "close", None)
            if close is not None:
                if self.rest is not None:
                    self._close = close
                    self.rest.leave_thread()
                    return
                if self.ended:
                    self.body.flush()  # the response does not wait for close()
                close()
        except BaseException as error:
            self.add_error(error)

    def _close_late(self) -> None:
        if self.context:
            rehome(self.context)
        close, self._close = self._close, None
        if close is not None:
            close()

    def add_error(self, error: BaseException) -> None:
        """The app has failed. The first error is kept, another one is logged."""
        if isinstance(error, ClientDisconnected) and self.body.disconnected:
            logger.debug("the client disconnected: %s", error)
        elif self.error is None:
            self.error = error
        else:
            logger.error("close() raised after another error", exc_info=error)

    def start_response(
        self, status: str, response_headers: ResponseHeaders, exc_info: OptExcInfo = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``. The head is not sent before the first non-empty chunk.

        The parameters have the names of the PEP: it asks apps to pass positions, but some pass
        ``exc_info`` by name, which other servers allow.

        :raises AppProtocolError: called twice without ``exc_info``, or with what cannot be sent.
        """
        if exc_info is not None:
            try:
                if self.head is not None and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: avoid a reference cycle
        elif self._proposed is not None:
            raise AppProtocolError(
                f"start_response({literal(status)}) after start_response({self._proposed.status}): "
                "a second call needs exc_info"
            )
        self._proposed = head = head_for_asgi(status, response_headers)
        self._drops_body = head.bodyless or self._scope["method"] == "HEAD"
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's ``write``, for apps that cannot return an iterable.

        :raises ClientDisconnected: the client has disconnected.
        """
        if not self._emit(check_chunk(data)) and self.body.disconnected:
            raise ClientDisconnected("the client disconnected before the response was complete")
        self.body.step(wait=not self.ended)

    # -- the result -----------------------------------------------------------------------------

    def _send(self, result: Any) -> None:
        kind = type(result)
        if kind is list or kind is tuple:
            self._send_whole(result)
        elif kind is FileWrapper:
            self._send_file(result)
        elif result is None or kind is str or kind is bytes or kind is dict:
            raise AppProtocolError(
                f"the app returned {kind.__name__}; PEP 3333 asks for an iterable of bytes, "
                "such as [b'...']"
            )
        else:
            length = None if self._proposed is None else self._proposed.content_length
            wrapper = wrapper_of_range(result, length)
            stream: Rest | None = None
            if getattr(kind, "streaming", False) or kind.__name__ == WRAPPER:
                stream = stream_of(result)
            if wrapper is not None:
                self._send_file(wrapper)
            elif stream is not None:
                self._send_stream(stream)
            else:
                self._send_iterable(result)

    def _send_whole(self, chunks: list[bytes] | tuple[bytes, ...]) -> None:
        """The body is complete: send it in one piece, with its length."""
        whole = chunks[0] if len(chunks) == 1 else b"".join(map(check_chunk, chunks))
        if type(whole) is not bytes:
            whole = check_chunk(whole)
        if self.head is not None:  # write() has begun the response
            if self._emit(whole):
                self.end()
            return
        head = self._proposed or self.require_head()
        if len(whole) != head.content_length and not head.bodyless:
            whole = self._fit(head, whole)
        self.head = head
        if whole and not self._drops_body:
            self.body.write_whole(whole)
        else:
            head.content_length = 0
        self.ended = True

    def _fit(self, head: AsgiHead, whole: bytes) -> bytes:
        """Compare the length of a complete body with Content-Length, or set that (PEP 3333).

        :returns: the part of the body to send.
        """
        length = len(whole)
        if head.content_length is None:
            if length or not self._drops_body:  # HEAD: the app may have left the body out
                head.headers.append((b"content-length", b"%d" % length))
                head.content_length = length
        elif not self._drops_body:
            if length < head.content_length or self._strict:
                raise AppProtocolError(
                    f"the body has {length} bytes, but its Content-Length is {head.content_length}"
                )
            self._warn_of_cut()
            return whole[: head.content_length]
        return whole

    def _send_iterable(self, chunks: Iterable[bytes]) -> None:
        body = self.body
        try:
            iterator = iter(chunks)
        except TypeError:
            raise AppProtocolError(
                f"the app returned {type(chunks).__name__}, which cannot be iterated; "
                "PEP 3333 asks for an iterable of bytes"
            ) from None
        for chunk in iterator:
            if check_chunk(chunk):
                if not self._emit(chunk):
                    break
                body.step(wait=not self.ended)
                if self._left is None and not body.habits.in_step:  # nothing to count from now on
                    body.write_each(iterator)
                    if not body.habits.in_step or body.disconnected:
                        break
            elif self._drops_body and self._proposed is not None:
                break
        if not self.body.disconnected:
            self.end()

    def _leave(self, rest: Rest) -> None:
        """The loop sends the rest, and calls :meth:`close_rest` after it."""
        self._close = None
        self.rest = rest

    def _send_stream(self, stream: Rest) -> None:
        """An async iterator: the loop iterates it, unless no byte of it is sent."""
        self.head = self.require_head()
        self._left = self.head.content_length
        if self._drops_body:
            self.head.content_length = 0
            self.ended = True
        else:
            self._leave(stream)

    def _send_file(self, wrapper: FileWrapper) -> None:
        head = self.require_head()
        message = None
        if self.head is None and not self._drops_body:
            message = self._plan_file(wrapper, head.content_length)
        if message is None:
            # PEP 3333: a file is sent up to there
            wrapper.left = head.content_length if self.head is None else self._left
            wrapper.blksize = max(wrapper.blksize, min(self.body.window, FILE_BLOCK))
            self._send_blocks(wrapper)
            return
        self.head = head
        self.file = message
        self.ended = True
        if message["type"] != PATHSEND:
            self.body.wait_until_sent()  # keeps the file open until then

    def _send_blocks(self, wrapper: FileWrapper) -> None:
        """Send a file, and leave its rest to the loop where that is not ready for it."""
        body = self.body
        for block in wrapper:
            is_slow = not body.wait_for_room(len(block), SLOW_S)
            if is_slow and reads_on_any_thread(wrapper.filelike):
                self._leave(FileRest(wrapper, block))
                return
            if not self._emit(block):
                break
            body.step(wait=False)
        if not body.disconnected:
            self.end()

    def _plan_file(self, wrapper: FileWrapper, length: int | None) -> Message | None:
        """The message that lets the server send the file; None if it has to be read here."""
        extensions = self._scope.get("extensions") or {}
        message = plan_file(wrapper.filelike, length, extensions)
        if message is None or message["type"] != PATHSEND:
            return message
        try:
            wrapper.close_early()  # it may delete the file, which the server may open late
        except BaseException as error:
            self.add_error(error)
        if is_at(message["path"], wrapper.filelike):
            return message
        return plan_file(wrapper.filelike, length, extensions)

    # -- bytes ----------------------------------------------------------------------------------

    def _emit(self, chunk: bytes) -> bool:
        """Send a chunk, after the head if it is the first one. False: no more is wanted."""
        if not chunk:
            return True
        if self.head is None:
            self._commit(len(chunk))
        if self._drops_body:
            return False
        if self._left is None:
            return self.body.write(chunk)
        fitting = self.fit(chunk)
        if fitting and not self.body.write(fitting):
            return False
        self.ended = not self._left  # the last chunk takes the end along
        return len(fitting) == len(chunk)

    def fit(self, chunk: bytes) -> bytes:
        """The part of the next chunk that Content-Length has room for, which is sent from now on.

        :raises AppProtocolError: it is not all of it, with ``strict``.
        """
        left = self._left
        if left is None:
            return chunk
        if len(chunk) > left:
            chunk = self._cut_to(left, chunk)
        self._left = left - len(chunk)
        return chunk

    @property
    def is_full(self) -> bool:
        """Whether as much has been sent as Content-Length says."""
        return self._left == 0

    def _cut_to(self, left: int, chunk: bytes) -> bytes:
        """The part of a chunk that Content-Length has room for.

        :raises AppProtocolError: with ``strict``.
        """
        if self._strict:
            raise too_long(len(chunk), left)
        self._warn_of_cut()
        return chunk[:left]

    def _warn_of_cut(self) -> None:
        if not self._cut:
            self._cut = True
            repeated.warning(
                "%r sent more than its Content-Length of %s bytes for %s; the rest is dropped",
                self._app,
                self.require_head().content_length,
                ClientText(self._scope["path"]),
            )

    def _commit(self, size: int) -> None:
        """From here on the head cannot be replaced. ``size``: of the first chunk, in bytes."""
        head = self.require_head()
        if self._drops_body:
            head.content_length = 0
            self.head = head
            self.ended = True
            return
        length = head.content_length
        if self._strict and length is not None and size > length:
            raise too_long(size, length)  # now it can still become a clean 500
        self._left = length
        self.body.headers = head.headers
        self.head = head

    def end(self) -> None:
        """The app has nothing more to send.

        :raises AppProtocolError: it has sent less than its Content-Length.
        """
        if self.head is None:
            self._commit(0)
        if self._left:
            raise too_short(self._left)
        if self.head is not None and self.head.content_length is None:
            self.head.content_length = self.body.written
        self.ended = True

    def require_head(self) -> AsgiHead:
        """The head that the app has set.

        :raises AppProtocolError: it has not called ``start_response``.
        """
        if self._proposed is None:
            raise AppProtocolError("the app sent a response without calling start_response()")
        return self._proposed


ThreadSide.made_as = ThreadSide

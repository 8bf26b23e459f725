"""One request on its way through `WsgiToAsgi`, seen from the worker thread that runs the app.

What enters: an app and its environ. What leaves, through a :class:`ResponseBody` and three slots
that the event loop reads (``head``, ``ended``, ``done``): the response.

Rule 1. :meth:`Exchange.run` runs wholly on one worker thread: the call, the iteration and
        ``close()``, in one copied context. The loop never touches the app or its iterable.
Rule 2. The worker writes its slots in the order head, chunks, ``ended``, ``error``, ``done``, and
        notifies after each step; the loop reads them the other way round. So whatever the loop
        sees set, it also sees what came before.
Rule 3. Every promise about the response is kept where the bytes are written: nothing before the
        head, nothing without need of a body, never more than Content-Length, never a clean end
        with less.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from contextvars import copy_context
from time import monotonic
from typing import Any

from bridge._http.headers import Head, make_head
from bridge._http.scope_to_environ import FileWrapper
from bridge._http.sendfile import plan_file
from bridge._threads.asgiref_state import rehome, set_loop_of_this_thread
from bridge._threads.job import Job
from bridge.errors import AppProtocolError, ClientDisconnected
from bridge.types import Environ, Message, OptExcInfo, ResponseHeaders, Scope, WsgiApp
from bridge.wsgi_to_asgi.bodies import ResponseBody, checked

__all__ = ["Exchange"]

logger = logging.getLogger("bridge.wsgi_to_asgi")

FILE_BLOCK = 262144
"""How much of a file is read at a time where it must be read: each block crosses the threads."""


class Exchange(Job):
    """A job of the pool: calls the app and carries its response to the loop.

    :ivar head: the head of the response, once the app cannot change it any more.
    :ivar ended: the body is complete.
    :ivar error: what the app raised, or what it did wrong.
    :ivar done: the app is through with this request, ``close()`` included.
    """

    __slots__ = (
        "_app",
        "_drops_body",
        "_environ",
        "_left",
        "_loop",
        "_proposed",
        "_scope",
        "body",
        "context",
        "done",
        "ended",
        "error",
        "file",
        "head",
    )

    def __init__(
        self,
        app: WsgiApp,
        environ: Environ,
        scope: Scope,
        loop: AbstractEventLoop,
        body: ResponseBody,
    ) -> None:
        self._app = app
        self._environ = environ
        self._scope = scope
        self._loop = loop
        self._drops_body = False
        self._left: int | None = None  # bytes of Content-Length not yet written
        self._proposed: Head | None = None
        self.body = body
        self.context = copy_context()
        self.head: Head | None = None
        self.file: Message | None = None
        self.ended = False
        self.error: BaseException | None = None
        self.done = False
        self.posted_at = monotonic()

    # -- the pool's side: Job -------------------------------------------------------------------

    def run(self) -> None:
        """Serve the request. On a worker thread; never raises."""
        if not self.body.gone:  # the client may have left while the job waited
            set_loop_of_this_thread(self._loop)  # async_to_sync in the app uses the server's loop
            try:
                self.context.run(self._serve)
            except BaseException as error:  # asgiref's, on moving the context
                self._fail(error)
        self._finish()

    def remind(self) -> None:
        """It waits for long: the loop, woken, listens from now on for the client to leave."""
        self.body.notify()

    def discard(self, error: BaseException | None = None) -> None:
        """The pool was shut down, or dropped this job, before its turn came."""
        self.error = ClientDisconnected("the pool dropped the request before its turn came")
        self._finish()

    def _finish(self) -> None:
        self.done = True
        self.body.hurry()

    # -- the app --------------------------------------------------------------------------------

    def _serve(self) -> None:
        result: Any = None
        if self.context:
            rehome(self.context)
        try:
            result = self._app(self._environ, self.start_response)
            self._send(result)
        except BaseException as error:
            self._fail(error)
        try:
            close = getattr(result, "close", None)
            if close is not None:
                if self.ended:
                    self.body.hurry()  # the response does not wait for close()
                close()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, ClientDisconnected) and self.body.gone:
            logger.debug("the client left: %s", error)
        elif self.error is None:
            self.error = error
        else:
            logger.error("close() raised after another error", exc_info=error)

    def start_response(
        self, status: str, response_headers: ResponseHeaders, exc_info: OptExcInfo = None, /
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``. The head stays in hand until the first non-empty chunk.

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
                f"start_response({status!r}) after start_response({self._proposed.status}): "
                "a second call needs exc_info"
            )
        self._proposed = head = make_head(status, response_headers)
        self._drops_body = head.bodyless or self._scope["method"] == "HEAD"
        return self.write

    def write(self, chunk: bytes) -> None:
        """PEP 3333's ``write``, for apps that cannot be written any other way.

        :raises ClientDisconnected: nobody reads the response any more.
        """
        if not self._emit(checked(chunk)) and self.body.gone:
            raise ClientDisconnected("the client left before the response was complete")
        self.body.notify()

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
            self._send_iterable(result)

    def _send_whole(self, chunks: list[bytes] | tuple[bytes, ...]) -> None:
        """All of the body is there: it leaves in one piece, and its length is known."""
        whole = chunks[0] if len(chunks) == 1 else b"".join(map(checked, chunks))
        if type(whole) is not bytes:
            whole = checked(whole)
        if self.head is not None:  # write() has begun the response
            if self._emit(whole):
                self._end()
            return
        head = self._proposed or self.require_head()
        if len(whole) != head.content_length and not head.bodyless:
            self._settle_length(head, len(whole))
        self.head = head
        if whole and not self._drops_body:
            self.body.put(whole)
        self.ended = True

    def _settle_length(self, head: Head, length: int) -> None:
        """The length of a body that is all there: as the app said, or said for it (PEP 3333)."""
        if head.content_length is None:
            if length or not self._drops_body:  # HEAD: the app may have left the body out
                head.headers.append((b"content-length", b"%d" % length))
                head.content_length = length
        elif length != head.content_length and not self._drops_body:
            raise AppProtocolError(
                f"the body has {length} bytes, its Content-Length says {head.content_length}"
            )

    def _send_iterable(self, chunks: Iterable[bytes]) -> None:
        try:
            iterator = iter(chunks)
        except TypeError:
            raise AppProtocolError(
                f"the app returned {type(chunks).__name__}, which cannot be iterated; "
                "PEP 3333 asks for an iterable of bytes"
            ) from None
        for chunk in iterator:
            if checked(chunk):
                if not self._emit(chunk):
                    break
                self.body.notify()
                if self._left is None:  # nothing to count from here on
                    self.body.write_each(iterator)
                    break
            elif self._drops_body and self._proposed is not None:
                break
        if not self.body.gone:
            self._end()

    def _send_file(self, wrapper: FileWrapper) -> None:
        head = self.require_head()
        message = None
        if self.head is None and not self._drops_body:
            extensions = self._scope.get("extensions") or {}
            message = plan_file(wrapper.filelike, head.content_length, extensions)
        if message is None:
            wrapper.left = head.content_length  # PEP 3333: a file is sent up to there
            wrapper.blksize = max(wrapper.blksize, min(self.body.window, FILE_BLOCK))
            self._send_iterable(wrapper)
            return
        self.head = head
        self.file = message
        self.ended = True
        self.body.hand_over()  # the file stays open until the server has sent it

    # -- bytes ----------------------------------------------------------------------------------

    def _emit(self, chunk: bytes) -> bool:
        """Send a chunk, after the head if it is the first one. False: nobody wants more."""
        if not chunk:
            return True
        if self.head is None:
            self._commit(len(chunk))
        if self._drops_body:
            return False
        if self._left is None:
            return self.body.write(chunk)
        self._left = self._left_after(len(chunk), self._left)
        if not self.body.write(chunk):
            return False
        self.ended = not self._left  # the last chunk takes the end along
        return True

    @staticmethod
    def _left_after(size: int, left: int) -> int:
        if size > left:
            raise AppProtocolError(
                f"the body is longer than its Content-Length: {size} bytes came where "
                f"{left} were left"
            )
        return left - size

    def _commit(self, size: int) -> None:
        """From here on the head cannot be replaced. ``size``: of the first chunk, in bytes."""
        head = self.require_head()
        if self._drops_body:
            self.head = head
            self.ended = True
            return
        if head.content_length is not None:
            self._left_after(size, head.content_length)  # now it can still become a clean 500
        self._left = head.content_length
        self.head = head

    def _end(self) -> None:
        """The app has nothing more to send."""
        if self.head is None:
            self._commit(0)
        if self._left:
            raise AppProtocolError(
                f"the body is shorter than its Content-Length: {self._left} bytes are missing"
            )
        self.ended = True

    def require_head(self) -> Head:
        """The head that the app has set.

        :raises AppProtocolError: it has not called ``start_response``.
        """
        if self._proposed is None:
            raise AppProtocolError("the app sent a response without calling start_response()")
        return self._proposed

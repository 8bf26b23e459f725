"""One request on its way through `AsgiToWsgi`, seen from the WSGI server's thread.

What enters: an environ and ``start_response``. What leaves: the response as an iterable. In
between, this thread sleeps at the gate of the :class:`~bridge.asgi_to_wsgi.loop_side.AppSide`,
and does for the app what only this thread can: read ``wsgi.input``, run thread-sensitive sync code.

Rule 1. ``start_response`` is called when the first piece of the body is there. What goes wrong
        before is raised to the server, which can still send a clean error.
Rule 2. Each turn looks for a wish of the app before it sleeps. A signal may stand for several. When
        the server has got nothing for ``LOOK_S``, this thread looks after its client, whatever else
        has kept it awake.
Rule 3. Context variables that the app has set are shown to this thread until ``close()``, and taken
        back then: the thread goes on to another request. A response that is dropped counts as
        closed.
Rule 4. A file is handed over to the server with ``start_response``, and all else is over by then: a
        server may close it on another thread (waitress does, on the one of its sockets), which has
        no variables to take back and must run no sync code. Of an empty one there is nothing to
        hand over: gunicorn would end a chunked response twice. Nor is there in answer to HEAD; but
        the file is looked at, so that the head is that of a GET.
Rule 5. What the app does right after its response may need this thread, so ``close()`` waits for
        the end of that step; but not longer than ``LAST_STEP_S``, for the server's connection ends
        after it. What comes later runs elsewhere.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextvars import Context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from bridge._http.scope_to_environ import FileWrapper
from bridge._threads.context import ContextOverlay
from bridge.asgi_to_wsgi.client_watch import watch_client
from bridge.asgi_to_wsgi.outcome import for_server
from bridge.asgi_to_wsgi.sync_code import HIDDEN
from bridge.errors import AppProtocolError, ClientDisconnected, PoolClosed
from bridge.types import Environ, StartResponse

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.loop_side import AppSide
    from bridge.asgi_to_wsgi.running_app import LiveApp
    from bridge.asgi_to_wsgi.sync_code import CallerJobs

__all__ = ["LOOK_S", "CallerSide", "changes_nothing"]

LOOK_S = 1.0
"""How often a thread with nothing to send looks whether the loop is well, and the client there."""

LAST_STEP_S = 0.5
"""How long an app may hold up the loop right after its response, before its thread goes on."""

FILE_BLOCK = 65536


class CallerSide:
    """A response that took more than one hand-over: PEP 3333's iterable.

    :param context: that the app runs in.
    """

    def __init__(self, live: LiveApp, side: AppSide, environ: Environ, context: Context) -> None:
        self._live = live
        self._side = side
        self._environ = environ
        self._context = context
        self._shown = ContextOverlay(but=HIDDEN)
        self._closed = False
        self._begun = False
        self._taken = 0  # bytes that the server works on
        self._look_at = monotonic() + LOOK_S
        self._watch = watch_client(environ)

    # -- until the head is sent -----------------------------------------------------------------

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Wait for the beginning of the response.

        :raises Exception: what the app raised, if it has not begun one.
        """
        side = self._side
        try:
            while not (side.over or side.chunks):
                self._wait()
            if not side.chunks and side.error is not None:
                raise self._farewell()
            return self._begin(start_response)
        except BaseException:
            self.close()  # the server has nothing that it could close
            raise

    def _begin(self, start_response: StartResponse) -> Iterable[bytes]:
        side = self._side
        head = side.head
        self._shown.apply(self._context)
        self._begun = True
        if side.file is None:
            start_response(head.status, head.headers)
            return self
        file = self._open(side.file, head.content_length)  # before the head: it may not be there
        try:
            start_response(head.status, head.headers)
            if file.is_empty() or self._environ["REQUEST_METHOD"] == "HEAD":
                file.close()
                return self
            wrap = self._environ.get("wsgi.file_wrapper", FileWrapper)
            wrapped: Iterable[bytes] = wrap(file, FILE_BLOCK)
            self.close()  # Rule 4
        except BaseException:
            file.close()
            raise
        return wrapped

    def _open(self, path: str, length: int | None) -> _ResponseFile:
        """The file to send.

        :param length: the Content-Length that the app has given with it.
        :raises AppProtocolError: it is shorter: a server would leave its client waiting for the
            rest, or take the next response on the connection for it.
        """
        try:
            file = _ResponseFile(path, length)
        except OSError as error:
            raise for_server(error, self._live.name) from error
        size = os.fstat(file.fileno()).st_size
        if length is not None and size < length:
            file.close()
            raise AppProtocolError(
                f"{path} is shorter than its content-length: {length - size} bytes are missing"
            )
        return file

    # -- what the app needs this thread for -----------------------------------------------------

    def _wait(self) -> None:
        """Fulfil a wish of the app; if it has none, sleep until there is a signal."""
        side = self._side
        left_s = self._look_at - monotonic()
        if left_s <= 0:
            self._look()
            self._look_at = monotonic() + LOOK_S
            return
        if side.jobs is not None and side.jobs.run():
            return
        body = side.body
        if body is not None and body.wanted:
            self._live.inbox.post(partial(side.arrive, *body.read()))
        else:
            side.gate.acquire(timeout=left_s)

    def _look(self) -> None:
        """Nothing has come for a while. Is there anything still to come, and anyone to take it?"""
        live = self._live
        if not live.thread.is_alive():
            raise PoolClosed(f"{live.name} is shut down")
        live.thread.probe()
        body = self._side.body
        if body is not None and not body.is_read and (body.wanted or not self._begun):
            return  # there may be bytes of it before the end of the connection
        if self._watch is not None and self._watch.has_left():
            # Before the response it may only have closed the sending half, and wait for the answer
            # (RFC 9112, 9.6): the app is told, and may answer. In mid-response it counts as gone,
            # as for every ASGI server.
            if self._begun:
                raise self._watch.farewell()
            live.inbox.post(self._side.lose_client)

    # -- the body -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except BaseException:
            self.close()  # after an error not every server does
            raise
        if chunk is None:
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        """The next piece of the body; None at its end."""
        side = self._side
        if self._taken:
            self._accept()
        while True:
            over = side.over  # first: then all the chunks are there, too
            if side.chunks:
                return self._take()
            if over:
                break
            self._wait()
        self._shown.apply(self._context)
        if side.error is not None:
            raise self._farewell()
        return None

    def _take(self) -> bytes:
        """All the chunks that wait."""
        chunks = self._side.chunks
        count = len(chunks)
        taken = chunks.popleft() if count == 1 else b"".join(chunks.popleft() for _ in range(count))
        self._taken = len(taken)
        return taken

    def _accept(self) -> None:
        """The server asks for more, so it is through with what it has taken."""
        side = self._side
        with self._live.lock:
            side.accepted += self._taken
            stalled, side.stalled = side.stalled, False
        self._taken = 0
        self._look_at = monotonic() + LOOK_S  # it has just written to its client
        if stalled:
            self._live.inbox.post(side.make_room)

    def close(self) -> None:
        """PEP 3333: the server is done, whether the response is or not."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._side.jobs is not None:
                self._run_last_jobs(self._side.jobs)
        finally:
            self._let_go()

    def _run_last_jobs(self, jobs: CallerJobs) -> None:
        """What the app does at the end, in the step that completes its response, belongs here, too.

        The loop may still be within that step: it is through once it comes round to a callback
        (Rule 5).
        """
        side, live = self._side, self._live
        if side.over and side.error is None and live.inbox.post(side.come_round):
            until = monotonic() + LAST_STEP_S
            while not side.came_round and (left_s := until - monotonic()) > 0:
                side.gate.acquire(timeout=left_s)
                jobs.run()
        jobs.run()

    def __del__(self) -> None:
        """Somebody has dropped the response without having closed it. On any thread, at any moment:
        nothing is run or logged here, and no lock taken."""
        if not self._closed:
            self._let_go()

    def _let_go(self) -> None:
        side = self._side
        if side.jobs is not None or side.chunks or side.error is not None or not side.over:
            self._live.inbox.post(side.disconnect)
        # What has crossed the bridge before has a context of its own, and a reader for it.
        self._shown.end(undo="asgi.scope" not in self._environ)

    def _farewell(self) -> BaseException:
        """What the server is raised: its own exception for it, if the client has left."""
        error = self._take_error()
        if self._watch is not None and isinstance(error, ClientDisconnected):
            return self._watch.farewell()
        return error

    def _take_error(self) -> BaseException:
        """Why the response ends here."""
        error, self._side.error = self._side.error, None
        assert error is not None  # whoever calls has looked
        return for_server(error, self._live.name)


def changes_nothing(context: Context) -> bool:
    """Whether there is nothing in ``context`` that this thread does not have."""
    if len(context) == len(HIDDEN):
        return True
    return all(
        variable in HIDDEN or variable.get(_missing) is value for variable, value in context.items()
    )


_missing: Any = object()


class _ResponseFile(io.FileIO):
    """A file that the app has sent by its path. It ends with the response's Content-Length, where
    there is one: it may have grown since the app has looked.
    """

    def __init__(self, path: str, length: int | None) -> None:
        super().__init__(path)
        self._length = length

    def is_empty(self) -> bool:
        status = os.fstat(self.fileno())
        return stat.S_ISREG(status.st_mode) and not status.st_size

    def read(self, size: int | None = -1, /) -> Any:
        if self._length is not None:
            left = self._length - self.tell()
            size = left if size is None or size < 0 else min(size, left)
        return super().read(size)

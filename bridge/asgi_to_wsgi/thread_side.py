"""The thread side of a request through `AsgiToWsgi`. All of it runs on the server thread.

It returns the response as PEP 3333's iterable. In between it sleeps on the ``wakeup`` of the
:class:`~bridge.asgi_to_wsgi.loop_side.LoopSide`, and does for the app what only this thread can:
read ``wsgi.input``, open a file and run thread-sensitive sync code.

Rule 1. ``start_response`` is called when the first piece of the body is there. Errors before that
        are raised to the server, which can still send a clean 500.
Rule 2. Each turn looks for something to do for the app before it sleeps, because one wake-up may
        stand for several. If the server has got nothing for ``POLL_S``, this thread polls its
        client, whatever else has kept it awake.
Rule 3. Context variables that the app has set are visible on this thread until ``close()``, and
        undone then: the thread goes on to another request. A response that is dropped counts as
        closed. What a layer around the adapter has set in the meantime, in its ``start_response``
        for example, is kept.
Rule 4. A file is passed to the server together with ``start_response``, and everything else is over
        by then: a server may close the file on another thread (waitress does, on the thread of its
        sockets), which has no variables to undo and must run no sync code. An empty file is not
        passed on: gunicorn would end a chunked response twice. Nor is one in answer to HEAD; but it
        is opened, so that the head is that of a GET. Until the server has it, a file is closed
        here, however the request ends.
Rule 5. Sync code of the app may wait for something that this thread does. The thread does it within
        that wait (:meth:`ThreadSide.serve`). It sends with the ``write()`` of PEP 3333 then, which
        may be called only before the iterable is returned, and which some servers do not have.
Rule 6. What the app does right after its response may need this thread, so ``close()`` waits for
        the end of that step; but not longer than ``LAST_STEP_S``, because the server's connection
        is finished only after it. What the app does later runs elsewhere.
Rule 7. An error of ``wsgi.input`` that is no OSError is raised to the server, unless the app has
        begun to answer: gunicorn answers 400 to its own error for a malformed chunk, and logs a
        line. The app is disconnected. Else the error is a line in the log. Never both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from threading import current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from bridge._frameworks.sentry import keep_reported
from bridge._http.client_text import literal
from bridge._http.sendfile import FileWrapper
from bridge._repeated_log import RepeatedLog
from bridge._threads.context import ContextOverlay
from bridge.asgi_to_wsgi.client_watch import watch_client
from bridge.asgi_to_wsgi.outcome import CutByShutdown, raised_to_server
from bridge.asgi_to_wsgi.response_file import FileOpening, ResponseFile
from bridge.asgi_to_wsgi.sync_code import HIDDEN, SyncJobs
from bridge.asgi_to_wsgi.time_limit import RequestClock, answer_late, log_late
from bridge.errors import ClientDisconnected, PoolClosed, RequestTimeout
from bridge.types import Environ, StartResponse, Write

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.loop_side import LoopSide
    from bridge.asgi_to_wsgi.running_app import RunningApp

__all__ = ["POLL_S", "ThreadSide", "sets_nothing"]

logger = logging.getLogger("bridge.asgi_to_wsgi")
repeated = RepeatedLog(logger)

POLL_S = 1.0
"""How often a thread with nothing to send checks that the loop runs and the client is there."""

LAST_STEP_S = 0.5
"""How long an app may block the loop right after its response, before its thread goes on."""

FILE_BLOCK = 65536


class ThreadSide:
    """A response that took more than one hand-over: PEP 3333's iterable.

    :param context: the one that the app runs in.
    :ivar thread: the server thread.
    :ivar can_write: whether sync code may pass data to the server: Rule 5.
    """

    _clock: RequestClock | None = None  # made at the first poll, if there is a limit

    def __init__(
        self, app: RunningApp, loop_side: LoopSide, environ: Environ, context: Context
    ) -> None:
        self._app = app
        self._loop_side = loop_side
        self._environ = environ
        self._context = context
        self._overlay = ContextOverlay(copy_context(), but=HIDDEN)
        self._closed = False
        self._started = False
        self._start_response: StartResponse | None = None  # until the iterable is returned
        self._write: Write | None = None
        self._serve_error: BaseException | None = None
        self.thread = current_thread()
        self.can_write = False
        self._file: ResponseFile | None = None  # until the server has it
        self._taken = 0  # bytes that the server is sending
        self._poll_at = monotonic() + POLL_S
        self._watch = watch_client(environ)

    # -- until the head is sent -----------------------------------------------------------------

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Wait for the beginning of the response.

        :raises Exception: what the app or ``wsgi.input`` raised, if there is none.
        :raises RequestTimeout: sync code has begun it, and the app does not go on.
        """
        loop_side = self._loop_side
        self._start_response = start_response
        self.can_write = True
        try:
            while not (loop_side.finished or loop_side.chunks):
                self._wait()
            if not loop_side.chunks and loop_side.error is not None:
                raise self._error_for_server()
            return self._start(start_response)
        except RequestTimeout:
            self.close()
            if self._started:
                raise
            return answer_late(self._environ, start_response)
        except BaseException:
            self.close()  # the server has nothing to close
            keep_reported(self._context)
            raise
        finally:
            self.can_write = False
            self._start_response = self._write = None

    def _start(self, start_response: StartResponse) -> Iterable[bytes]:
        loop_side = self._loop_side
        head = loop_side.head
        self._overlay.apply(self._context)
        if self._started:  # by sync code
            return self
        self._started = True
        file = loop_side.file
        if file is None:
            start_response(head.status, head.headers)
            return self
        self._file = loop_side.file = None  # closed by the server, or below
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

    # -- what the app needs this thread for -----------------------------------------------------

    def _wait(self) -> None:
        """Do one thing that the app needs; if there is none, sleep until woken."""
        loop_side = self._loop_side
        left_s = self._poll_at - monotonic()
        if left_s <= 0:
            self._poll()
            self._poll_at = monotonic() + POLL_S
            return
        if loop_side.sync_jobs is not None and loop_side.sync_jobs.run(self):
            if self._serve_error is not None:
                raise self._taken_serve_error()
            return
        opening = loop_side.opening
        if opening is not None:
            self._open_file(opening)
        elif not self._read_body():
            loop_side.wakeup.acquire(timeout=left_s)

    def _read_body(self) -> bool:
        """Read the piece of the body that the app waits for. False: it does not.

        :raises Exception: an error of ``wsgi.input``: Rule 7.
        """
        loop_side = self._loop_side
        body = loop_side.body
        if body is None or not body.wanted:
            return False
        piece = body.read()
        error = body.error
        if error is not None and not (self._started or loop_side.finished or loop_side.chunks):
            body.error = None  # raised instead of logged: Rule 7
            raise error
        self._app.inbox.post(partial(loop_side.feed_body, *piece))
        return True

    def serve(self) -> None:
        """Do what sync code on this thread waits for: Rule 5. Called within that wait."""
        try:
            self._read_body()
            if self.can_write and self._loop_side.chunks:
                self._write_chunks()
        except BaseException as error:  # for the server; the app gets a disconnect
            self.can_write = False
            self._serve_error = error
            self._app.inbox.post(self._loop_side.disconnect)

    def _taken_serve_error(self) -> BaseException:
        error, self._serve_error = self._serve_error, None
        assert error is not None  # every call follows a check
        return error

    def _write_chunks(self) -> None:
        if not self._started and self._start_response is not None:
            head = self._loop_side.head
            self._started = True
            self._write = self._start_response(head.status, head.headers)
        if self._write is None:  # granian's start_response() returns nothing
            self.can_write = False
            self._app.inbox.post(self._loop_side.resume)
            return
        self._write(self._take())
        self._accept()

    def _open_file(self, opening: FileOpening) -> None:
        """Open the file that ``send()`` waits for."""
        self._loop_side.opening = None
        self._close_files()
        opening.open()
        self._file = opening.file
        self._app.inbox.post(self._loop_side.resume)

    def _close_files(self) -> None:
        """Close the file, and that of a cancelled ``send()``, unless the server has it."""
        for file in (self._file, self._loop_side.file):
            if file is not None:
                file.close()
        self._file = None

    def _poll(self) -> None:
        """Nothing has been sent for a while: check that the loop runs, and poll the client."""
        app = self._app
        if not app.thread.is_alive():
            raise PoolClosed(f"{app.name} is shut down")
        app.thread.probe()
        if app.options.request_timeout_s is not None:
            self._check_time(app.options.request_timeout_s)
        body = self._loop_side.body
        if body is not None and not body.is_read and (body.wanted or not self._started):
            return  # bytes of it may still precede the end of the connection
        if self._watch is not None and self._watch.has_disconnected():
            # Before the response it may only have closed the sending half, and wait for the answer
            # (RFC 9112, 9.6): the app receives a disconnect, and may answer. Within the response it
            # counts as disconnected, as for every ASGI server.
            if self._started:
                raise self._watch.make_error()
            app.inbox.post(self._loop_side.client_closed)

    def _check_time(self, limit_s: float) -> None:
        """
        :raises RequestTimeout: the app has made no progress for so long. It is cancelled.
        """
        if self._clock is None:
            self._clock = RequestClock(self._poll_at - POLL_S)
        if self._clock.idle_s(self._loop_side) >= limit_s:
            log_late(self._app, self._loop_side, self._environ, limit_s)
            self._app.inbox.post(self._loop_side.give_up)
            raise RequestTimeout(limit_s)

    # -- the body -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except BaseException:
            self.close()  # not every server does after an error
            keep_reported(self._context)
            raise
        if chunk is None:
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        """The next piece of the body; None at its end."""
        loop_side = self._loop_side
        if self._taken:
            self._accept()
        while True:
            finished = loop_side.finished  # first: then all the chunks are there, too
            if loop_side.chunks:
                return self._take()
            if finished:
                break
            self._wait()
        self._overlay.apply(self._context)
        if loop_side.error is not None:
            raise self._error_for_server()
        return None

    def _take(self) -> bytes:
        """All pending chunks."""
        chunks = self._loop_side.chunks
        count = len(chunks)
        taken = chunks.popleft() if count == 1 else b"".join(chunks.popleft() for _ in range(count))
        self._taken = len(taken)
        return taken

    def _accept(self) -> None:
        """The server asks for more, so it has sent what it took."""
        loop_side = self._loop_side
        with self._app.lock:
            loop_side.accepted += self._taken
            stalled, loop_side.stalled = loop_side.stalled, False
        self._taken = 0
        self._poll_at = monotonic() + POLL_S  # it has just written to its client
        if stalled:
            self._app.inbox.post(loop_side.resume)

    def close(self) -> None:
        """PEP 3333: the server has finished with the response, complete or not."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._loop_side.sync_jobs is not None:
                self._run_last_jobs(self._loop_side.sync_jobs)
        finally:
            self._release()
            body = self._loop_side.body
            if body is not None and body.error is not None:  # Rule 7
                error, body.error = body.error, None
                repeated.warning("%s: reading wsgi.input raised %s", self._app.name, literal(error))

    def _run_last_jobs(self, jobs: SyncJobs) -> None:
        """Run the sync code of the step that completes the response, too.

        The loop may still be within that step: it has ended once the loop runs a callback that is
        posted now (Rule 6).
        """
        loop_side, app = self._loop_side, self._app
        is_complete = loop_side.finished and loop_side.error is None
        if is_complete and app.inbox.post(loop_side.end_last_step):
            until = monotonic() + LAST_STEP_S
            while not loop_side.last_step_ended and (left_s := until - monotonic()) > 0:
                loop_side.wakeup.acquire(timeout=left_s)
                jobs.run(self)
        jobs.run(self)

    def __del__(self) -> None:
        """The response was dropped without being closed. On any thread, at any moment: nothing is
        run or logged here, and no lock is taken."""
        if not self._closed:
            self._release()

    def _release(self) -> None:
        self._close_files()
        loop_side = self._loop_side
        if (
            loop_side.sync_jobs is not None
            or loop_side.chunks
            or loop_side.error is not None
            or not loop_side.finished
        ):
            self._app.inbox.post(loop_side.disconnect)
        # A request that crossed the bridge before has its own context, which is read afterwards.
        self._overlay.end(undo="asgi.scope" not in self._environ)

    def _error_for_server(self) -> BaseException:
        """Why the response ends here; the server's own exception for a disconnect, which it does
        not log, also for a response that the app's shutdown has cut."""
        error, self._loop_side.error = self._loop_side.error, None
        assert error is not None  # every call follows a check
        is_quiet = isinstance(error, ClientDisconnected) or (
            self._started and isinstance(error, CutByShutdown)
        )
        if is_quiet and self._watch is not None:
            return self._watch.make_error()
        return raised_to_server(error, self._app.name, self._environ)


def sets_nothing(context: Context) -> bool:
    """Whether every variable of ``context`` has the same value on this thread."""
    if len(context) == len(HIDDEN):
        return True
    return all(
        variable in HIDDEN or variable.get(_missing) is value for variable, value in context.items()
    )


_missing: Any = object()

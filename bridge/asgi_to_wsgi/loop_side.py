"""The loop side of a request through `AsgiToWsgi`: the app's task, its ``receive`` and ``send``.

The response goes to the server thread through fields that
:class:`~bridge.asgi_to_wsgi.thread_side.ThreadSide` reads. The server thread reads ``wsgi.input``
and runs thread-sensitive sync code for the app.

Rule 1. All methods run on the loop thread. The app is one task; its first step runs at once.
Rule 2. The loop writes its fields in the order ``head``, ``chunks``, ``error``, ``finished``, and
        wakes the server thread after each step; the server thread reads them in the opposite order.
        So if it sees one of them set, it also sees what was written before.
Rule 3. Only the loop releases ``wakeup``, and only while it is locked; only the server thread
        acquires it. So at most one wake-up is pending, and none is lost.
Rule 4. The server thread reads the body, opens a file, and runs thread-sensitive sync code. It goes
        on to other requests once the response is complete, at the end of that step or a moment
        later; from then on such code runs on another thread.
Rule 5. An error is raised to the server thread as long as the response is not complete and the
        server asks for more of it, and logged after that. Never both.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import Future, Task, TimerHandle
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future as ThreadFuture
from contextvars import Context
from functools import partial
from time import monotonic
from typing import ClassVar, TypeVar

from bridge._http.client_text import literal
from bridge._http.messages import HTTP_RESPONSE, State
from bridge._http.response_heads import WsgiHead, early_hints_for_wsgi, head_for_wsgi
from bridge._http.rules import left_after, too_short
from bridge._observe.record import RECORD, RequestRecord
from bridge._threads.asgiref_state import holds_locals
from bridge._threads.job import SubmittedCall
from bridge._threads.loop_thread import start_task
from bridge.asgi_to_wsgi.outcome import CutByShutdown, Outcome, error_for_server, log_error
from bridge.asgi_to_wsgi.request_body import RequestBody
from bridge.asgi_to_wsgi.response_file import FileOpening, ResponseFile
from bridge.asgi_to_wsgi.running_app import RunningApp
from bridge.asgi_to_wsgi.sync_code import ServerThread, SyncJobs, enter_request, move_to_loop_thread
from bridge.errors import (
    AppProtocolError,
    ClientDisconnected,
    DeadlockError,
    PoolClosed,
    RequestTimeout,
)
from bridge.types import AsgiApp, Message, ResponseHeaders, Scope, StartResponse

__all__ = ["LoopSide"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

T = TypeVar("T")
EarlyHints = Callable[[ResponseHeaders], object]

DISCONNECT_GRACE_S = 0.5
"""How long an app may run on after ``http.disconnect`` before its task is cancelled."""

GRACE_STEPS = 5
"""The grace is counted in so many steps: a blocked loop uses up one of them, and not all."""


class LoopSide:
    """One request: the app's task, and its ``receive`` and ``send``.

    :param asgi: the ASGI app to call; ``app`` is where it runs.
    :param context: for the app to run in. It will refer to this object, which drops it then.
    :ivar wakeup: the server thread sleeps on it.
    :ivar body: of the request; None if there is none.
    :ivar head: of the response.
    :ivar chunks: of the response's body, for the server thread to take.
    :ivar opening: a file for the server thread to open. Set by the loop, cleared by that thread.
    :ivar file: open, to be sent instead of chunks.
    :ivar error: why the response will never be complete.
    :ivar finished: nothing more will follow: the response is complete, or there is an ``error``.
    :ivar sync_jobs: sync code for the server thread to run, if there has been any.
    :ivar last_step_ended: the step in which the app completed its response is over.
    :ivar written: how many bytes the app has sent.
    :ivar posted_at: ``time.monotonic()`` when it was posted to the loop.
    :ivar started_at: the same, when the loop has called the app.
    :ivar is_followed: its server thread records what it takes of the response.
    :ivar accepted: how many bytes the server has taken; counted by the server thread.
    :ivar stalled: the app waits for that. Guarded by ``RunningApp.lock``.
    :ivar task: the app's, as long as it runs.
    :cvar made_as: the class that adapters make: this one, or in its place one that observes it.
    """

    made_as: ClassVar[type[LoopSide]]
    head: WsgiHead
    started_at: float
    is_followed = False
    _dropped = 0

    def __init__(
        self,
        app: RunningApp,
        asgi: AsgiApp,
        scope: Scope,
        body: RequestBody | None,
        context: Context,
    ) -> None:
        self._app = app
        self._asgi = asgi
        self._scope = scope
        self._context: Context | None = context
        self._record: RequestRecord | None = scope.get(RECORD)
        self._state = HTTP_RESPONSE.start
        self._drops_body = scope["method"] == "HEAD"
        self._left: int | None = None  # bytes of Content-Length not yet sent
        self.written = 0
        self._complete = False
        self._owes_empty_body = body is None
        self._body_cut = False
        self._disconnected = False
        self._task_ended = False
        self._timed_out = False
        self._timer: TimerHandle | None = None
        self._waiters: tuple[Future[None], ...] = ()
        self.wakeup = threading.Lock()  # looked up now: see locks.py
        self.wakeup.acquire()
        self.body = body
        self.chunks: deque[bytes] = deque()
        self.opening: FileOpening | None = None
        self.file: ResponseFile | None = None
        self.error: BaseException | None = None
        self.finished = False
        self.sync_jobs: SyncJobs | None = None
        self.last_step_ended = False
        self.accepted = 0
        self.stalled = False
        self.task: Task[None] | None = None
        self.posted_at = monotonic()

    def _wake_thread(self) -> None:
        if self.wakeup.locked():  # Rule 3
            self.wakeup.release()

    def _call_thread(self) -> None:
        """Have the server thread do what the app needs, also if it waits for that in sync code."""
        jobs = self.sync_jobs
        if jobs is None or jobs.submit_within_wait(_serve) is None:
            self._wake_thread()

    @property
    def scope(self) -> Scope:
        """Of the request."""
        return self._scope

    @property
    def is_whole(self) -> bool:
        """For the server thread: the response is there, and nothing else is needed from it."""
        return self.finished and self.sync_jobs is None and self.error is None

    def whole_response(self, start_response: StartResponse) -> Iterable[bytes]:
        """For the server thread: what :attr:`is_whole` has found."""
        start_response(self.head.status, self.head.headers)
        return [*self.chunks]

    def is_unfollowed(self, app: RunningApp) -> bool:
        """Whether it waits in this app, and its server thread does not record it yet. From any
        thread."""
        return app is self._app and not (self.finished or self.is_followed)

    @property
    def is_in_background(self) -> bool:
        """Whether the app runs on after the end of its response. From any thread."""
        return self.finished and self.task is not None

    # -- the task -------------------------------------------------------------------------------

    def start(self) -> None:
        """Call the app, and run it until it waits for something."""
        app, context = self._app, self._context
        self._context = None
        self.started_at = monotonic()
        if self._record is not None:
            self._record.is_served(self.posted_at)
        if app.closing or context is None:
            self._fail(PoolClosed(f"{app.name} is shut down"))
            return
        if context and holds_locals(context):
            context.run(move_to_loop_thread, context)
        task = start_task(app.loop, self._run(), context)
        if task.done():
            return
        self.task = task
        app.requests.add(self)
        timeout_s = app.options.task_timeout_s
        if timeout_s is not None:
            self._timer = app.loop.call_later(timeout_s, self._time_out)

    async def _run(self) -> None:
        enter_request(self)
        try:
            await self._asgi(self._scope, self.receive, self.send)
        except BaseException as error:  # SystemExit, too: it must not end the loop
            if isinstance(error, GeneratorExit) and not self._app.loop.is_running():
                raise  # the loop was closed while it ran: see abandon()
            self._end_task(error)
        else:
            self._end_task(None)

    def _end_task(self, error: BaseException | None) -> None:
        self._task_ended = True
        if self.task is not None:
            self._app.requests.discard(self)
            self.task = None
        if self._timer is not None:
            self._timer.cancel()
        if not (self.finished or self._disconnected):
            self._fail(error_for_server(error, self._outcome()))
        elif error is not None:
            log_error(error, self._outcome())
        self._notify()

    def _outcome(self) -> Outcome:
        return Outcome(
            self._app.name,
            self._state,
            body_cut=self._body_cut,
            disconnected=self._disconnected,
            shut_down=self._app.cancels_at is not None,
            timed_out_s=self._app.options.task_timeout_s if self._timed_out else None,
        )

    def _fail(self, error: BaseException) -> None:
        self._disconnected = True  # send() raises in tasks that the app has left behind
        self.error = error
        self.finished = True
        self._wake_thread()

    def _time_out(self) -> None:
        self._timed_out = True
        self.cancel()

    def subject(self) -> Scope:
        """What it serves, for reports. From any thread."""
        return self._scope

    def cancel(self) -> None:
        """Cancel the task, if it still runs."""
        if self.task is not None:
            self.task.cancel()

    def abandon(self) -> None:
        """The task ignores its cancellation, and the loop stops: end the server thread's wait."""
        if not self.finished:
            self._fail(CutByShutdown(f"{self._app.name} was shut down ({self._state})"))

    # -- from the server thread -----------------------------------------------------------------

    def feed_body(self, data: bytes | None, more: bool) -> None:
        """A piece of the body that the app has asked for; None if it is cut short."""
        if data is None or self.body is None:
            self._body_cut = True
        else:
            self.body.feed(data, more)
        self._notify()

    def client_closed(self) -> None:
        """The client has closed its side: the app receives a disconnect, but may still answer."""
        self._body_cut = True
        self._notify()

    def disconnect(self) -> None:
        """The server takes no more of the response."""
        self._close_sync_jobs()
        error, self.error = self.error, None
        if error is not None:  # the server has not asked for more, so nothing will raise it
            log_error(error, self._outcome())
        if self._complete or self._task_ended or self._disconnected:
            return
        self._disconnected = True
        self._notify()
        self._count_down(GRACE_STEPS)

    def fail_late(self, error: RequestTimeout) -> None:
        """Its sync code has taken too long: the server thread gets ``error`` once that returns."""
        if not self.finished:
            self._fail(error)
        self.cancel()

    def give_up(self) -> None:
        """The request has taken too long: nobody waits for the response any more."""
        self._disconnected = True
        self._notify()
        self.cancel()

    def _count_down(self, steps: int) -> None:
        """Cancel the task after its grace, which is counted only while the loop runs."""
        if not steps:
            self.cancel()
        elif self.task is not None:
            pause_s = DISCONNECT_GRACE_S / GRACE_STEPS
            self._app.loop.call_later(pause_s, self._count_down, steps - 1)

    def end_last_step(self) -> None:
        """Posted after the response is complete, so run after the step that completed it."""
        self.last_step_ended = True
        self._wake_thread()

    def resume(self) -> None:
        """The server has taken some of the response, or its thread has opened the file."""
        self._notify()

    # -- waiting --------------------------------------------------------------------------------

    async def _changed(self) -> None:
        """Wait until something has changed. Several tasks may."""
        waiting = (waiter for waiter in self._waiters if not waiter.done())  # not cancelled
        waiter = self._app.loop.create_future()
        self._waiters = (*waiting, waiter)
        await waiter

    def _notify(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    # -- receive --------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next piece of the body; after that, waits for a disconnect or for the end."""
        while not (self.finished or self._disconnected or self._task_ended):
            if self._owes_empty_body:
                self._owes_empty_body = False
                return {"type": "http.request", "body": b"", "more_body": False}
            body = self.body
            if body is not None:
                message = body.take()
                if message is not None:
                    return message
                if not self._body_cut and body.request_more():
                    self._call_thread()
            if self._body_cut:
                break
            await self._changed()
        return {"type": "http.disconnect"}

    # -- send -----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """A message of the response.

        :raises AppProtocolError: it is not allowed now, or not in this form.
        :raises DeadlockError: the window is full, and the thread that would empty it waits for
            this, and cannot write.
        :raises ClientDisconnected: no more of the response is read (ASGI HTTP spec, "Disconnected
            Client").
        """
        if self._disconnected:
            raise ClientDisconnected("the client disconnected before the response was complete")
        state = HTTP_RESPONSE.after(self._state, message)
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start":
            self.head = head = head_for_wsgi(message)
            self._left = head.content_length
            self._drops_body = self._drops_body or head.bodyless
        elif kind == "http.response.early_hint":
            await self._send_hints(message)
            return  # the state is unchanged, or another task has changed it
        elif kind == "http.response.pathsend":
            await self._send_file(message, state)
        else:
            self._send_extension(kind, message)
        self._state = state
        if self.written - self.accepted > self._app.options.response_window:
            await self._wait_for_room()

    def _send_body(self, body: bytes, more: bool) -> None:
        if type(body) is not bytes:
            body = _as_bytes(body)
        if self._drops_body:
            self._drop(body, more)
        else:
            if self._left is not None and (more or len(body) != self._left):
                left = left_after(len(body), self._left)
                if left and not more:
                    raise too_short(left)
                self._left = left
            if body or not self.written:
                self.chunks.append(body)
                self.written += len(body)
        if more:
            self._call_thread()
        else:
            self._end_response()

    def _drop(self, body: bytes, more: bool) -> None:
        """HEAD, 204 and 304: the response ends with its head, whatever the app sends after it.

        Once that would have filled the window without an end, the app is disconnected: nothing will
        ever empty the window.
        """
        self._dropped += len(body)
        self._disconnected = more and self._dropped > self._app.options.response_window
        self.finished = True

    def _end_response(self) -> None:
        self._complete = True
        self.finished = True
        self._wake_thread()
        self._notify()

    async def _wait_for_room(self) -> None:
        """Wait until the server has taken enough for more to be sent."""
        window = self._app.options.response_window
        while not (self.finished or self._disconnected):
            with self._app.lock:
                if self.written - self.accepted <= window:
                    return
                self.stalled = True
            if self.sync_jobs is not None and self.sync_jobs.must_not_wait():
                raise DeadlockError(
                    f"{self._app.name}: response_window={window} is full, and the server thread "
                    "cannot empty it: it runs the sync code that waits for this send(). Await "
                    "send() in async code, or send the body in one message"
                )
            await self._changed()
        if self._disconnected:
            raise ClientDisconnected("the client disconnected before the response was complete")

    async def _send_file(self, message: Message, state: State) -> None:
        """Send a file by its path. Returns once it is open, or not needed.

        :param state: of the response, once it is sent.
        :raises OSError: it cannot be opened. The app may send something else.
        """
        path = message.get("path")
        if not isinstance(path, str):
            raise AppProtocolError(
                f"{message['type']}: path is {literal(path)}; the ASGI spec asks for a str"
            )
        if not self.head.bodyless:  # opened for HEAD, too
            before, self._state = self._state, state  # no other message follows meanwhile
            try:
                self.file = await self._wait_for_file(path)
            except BaseException:
                self._state = before
                raise
        self._end_response()

    async def _wait_for_file(self, path: str) -> ResponseFile | None:
        """The file, opened by the server thread."""
        opening = FileOpening(path, self.head.content_length)
        if self.sync_jobs is not None and self.sync_jobs.running_on is not None:
            opening.open()  # here: that thread may be what waits for this send()
        else:
            self.opening = opening
            self._wake_thread()
        while not (opening.done or self.finished or self._disconnected):
            await self._changed()
        if self._disconnected:
            raise ClientDisconnected("the client disconnected before the response was complete")
        error, opening.error = opening.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        return opening.file

    def _send_extension(self, kind: str, message: Message) -> None:
        if kind.startswith("http.response.zerocopysend"):
            raise AppProtocolError(f"{kind}: this scope does not offer the extension")
        logger.debug("%s: dropped %s, which WSGI cannot send", self._app.name, kind)

    # -- early hints ----------------------------------------------------------------------------

    async def _send_hints(self, message: Message) -> None:
        """Send early hints (103) with ``wsgi.early_hints``, which gunicorn and others have.

        On the server thread, because that writes to the client's socket. Returns when it has.

        :raises AppProtocolError: a link would split the response, or is not one.
        :raises ClientDisconnected: the client has disconnected.
        """
        hint: EarlyHints | None = self._scope.get("wsgi_environ", {}).get("wsgi.early_hints")
        links = early_hints_for_wsgi(message)
        if hint is None or self.finished:
            return
        try:
            await asyncio.wrap_future(self._submit(lambda: self._write_hints(hint, links)))
        except OSError as error:
            self.client_closed()
            raise ClientDisconnected("the client disconnected before the response began") from error

    def _write_hints(self, hint: EarlyHints, links: ResponseHeaders) -> None:
        """On the server thread. Once that has gone on, maybe to the next request on the same
        connection, this runs elsewhere, and is too late."""
        if self.sync_jobs is not None and not self.sync_jobs.closed:
            hint(links)

    def _submit(self, call: Callable[[], T]) -> ThreadFuture[T]:
        """Run ``call`` on the server thread, also if it waits for that in sync code."""
        jobs = self.sync_jobs
        within = None if jobs is None else jobs.submit_within_wait(lambda server: call())
        return self.run_on_server_thread(call) if within is None else within

    # -- sync code on the server thread ---------------------------------------------------------

    def run_on_server_thread(self, call: Callable[[], T]) -> ThreadFuture[T]:
        """Run ``call`` on the thread that waits for this request. From any thread."""
        job = SubmittedCall(call)
        if self._app.thread.is_current():
            self._post_sync_job(job)
        else:
            self._app.inbox.post(partial(self._post_sync_job, job))
        return job.future

    def _post_sync_job(self, job: SubmittedCall) -> None:
        if self.sync_jobs is None:
            self.sync_jobs = SyncJobs(closed=self.finished)
        self.sync_jobs.post(job)
        self._wake_thread()
        if self._app.sync_watch is not None:
            self._app.sync_watch.add(self)

    def _close_sync_jobs(self) -> None:
        if self.sync_jobs is None:
            self.sync_jobs = SyncJobs(closed=True)
        self.sync_jobs.close()


def _as_bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise AppProtocolError(
        f"http.response.body: body is {type(body).__name__}; the ASGI spec asks for bytes"
    )


def _serve(server: ServerThread) -> None:
    server.serve()


LoopSide.made_as = LoopSide

"""One request on its way through `AsgiToWsgi`, seen from the event loop that runs the app.

What enters: a scope, and what the caller's thread reads from ``wsgi.input``. What leaves, through
the fields that ``thread_side`` reads: the response, and wishes that only that thread can
fulfil.

Rule 1. All methods run on the loop's thread. The app is one task; its first step runs at once.
Rule 2. The loop writes its fields in the order ``head``, ``chunks``, ``error``, ``over``, and
        signals after each step; the caller reads them the other way round. So whatever it sees set,
        it also sees what came before.
Rule 3. Only the loop releases ``gate``, and only while it is locked; only the caller acquires it.
        So there is never more than one signal on its way, and never one too few.
Rule 4. The caller reads the body and runs thread-sensitive sync code. Once the response is complete
        it goes away, at the end of that step or a moment later; from then on such code runs on a
        thread of its own.
Rule 5. An error is raised to the caller as long as the response is not complete and the caller asks
        for more of it, and logged after that. Never both.
"""

from __future__ import annotations

import logging
from asyncio import Future, Task, TimerHandle
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from contextvars import Context
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from bridge._http.messages import HTTP_RESPONSE
from bridge._http.wsgi_head import WsgiHead, make_wsgi_head
from bridge._threads.asgiref_state import holds_locals
from bridge._threads.job import SubmittedCall
from bridge._threads.loop_thread import start_task
from bridge.asgi_to_wsgi.early_hints import send_hints
from bridge.asgi_to_wsgi.outcome import Ending, explain, report
from bridge.asgi_to_wsgi.request_body import PulledBody
from bridge.asgi_to_wsgi.sync_code import CallerJobs, enter_caller, move_in
from bridge.errors import AppProtocolError, ClientDisconnected, PoolClosed
from bridge.types import Message, Scope

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.running_app import LiveApp

__all__ = ["AppSide"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

T = TypeVar("T")

DISCONNECT_GRACE_S = 0.5
"""How long an app may go on after ``http.disconnect`` before its task is cancelled."""

GRACE_STEPS = 5
"""It passes in so many steps: a loop that is held up meanwhile takes one of them, and not all."""


class AppSide:
    """The app's task, and its ``receive`` and ``send``.

    :param context: for the app to run in. It will refer to this object, which so forgets it.
    :ivar gate: the caller sleeps at it.
    :ivar body: of the request; None if there is none.
    :ivar head: of the response.
    :ivar chunks: of the response's body, for the caller to take.
    :ivar file: instead of chunks, the path of a file to send.
    :ivar error: why the response will never be complete.
    :ivar over: nothing more will come: the response is complete, or there is an ``error``.
    :ivar jobs: sync code for the caller to run, if there ever was any.
    :ivar came_round: the step in which the app has completed its response is over.
    :ivar accepted: how many bytes the server has taken; the caller's to count.
    :ivar stalled: the app waits for that. Guarded by ``LiveApp.lock``.
    :ivar task: the app's, as long as it runs.
    """

    head: WsgiHead

    def __init__(
        self, live: LiveApp, scope: Scope, body: PulledBody | None, context: Context
    ) -> None:
        self._live = live
        self._scope = scope
        self._context: Context | None = context
        self._state = HTTP_RESPONSE.start
        self._drops_body = scope["method"] == "HEAD"
        self._left: int | None = None  # bytes of Content-Length not yet sent
        self._written = 0
        self._complete = False
        self._heard = body is not None  # without a body, the app is told so once
        self._cut = False
        self._gone = False
        self._ended = False
        self._timed_out = False
        self._timer: TimerHandle | None = None
        self._waiters: tuple[Future[None], ...] = ()
        self.gate = Lock()
        self.gate.acquire()
        self.body = body
        self.chunks: deque[bytes] = deque()
        self.file: str | None = None
        self.error: BaseException | None = None
        self.over = False
        self.jobs: CallerJobs | None = None
        self.came_round = False
        self.accepted = 0
        self.stalled = False
        self.task: Task[None] | None = None

    def _signal(self) -> None:
        if self.gate.locked():  # Rule 3
            self.gate.release()

    @property
    def is_whole(self) -> bool:
        """For the caller: all of the response is there, and it is needed for nothing else."""
        return self.over and self.jobs is None and self.error is None and self.file is None

    # -- the task -------------------------------------------------------------------------------

    def start(self) -> None:
        """Call the app, and run it up to where it waits for something."""
        live, context = self._live, self._context
        self._context = None
        if live.closing or context is None:
            self._fail(PoolClosed(f"{live.name} is shut down"))
            return
        if context and holds_locals(context):
            context.run(move_in, context)
        task = start_task(live.loop, self._run(), context)
        if task.done():
            return
        self.task = task
        live.runs.add(self)
        timeout_s = live.options.task_timeout_s
        if timeout_s is not None:
            self._timer = live.loop.call_later(timeout_s, self._time_out)

    async def _run(self) -> None:
        enter_caller(self)
        try:
            await self._live.app(self._scope, self.receive, self.send)
        except BaseException as error:  # SystemExit, too: it must not end the loop
            if isinstance(error, GeneratorExit) and not self._live.loop.is_running():
                raise  # the loop was closed under it: see abandon()
            self._finish(error)
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        self._ended = True
        if self.task is not None:
            self._live.runs.discard(self)
            self.task = None
        if self._timer is not None:
            self._timer.cancel()
        if not (self.over or self._gone):
            self._fail(explain(error, self._ending()))
        elif error is not None:
            report(error, self._ending())
        self._tell()

    def _ending(self) -> Ending:
        """What is known of how the request ends."""
        return Ending(
            self._live,
            self._state,
            cut=self._cut,
            gone=self._gone,
            timed_out=self._timed_out,
        )

    def _fail(self, error: BaseException) -> None:
        self._gone = True  # tasks that the app has left behind send to nobody
        self.error = error
        self.over = True
        self._signal()

    def _time_out(self) -> None:
        self._timed_out = True
        self.cancel()

    def cancel(self) -> None:
        """Cancel the task, if it still runs."""
        if self.task is not None:
            self.task.cancel()

    def abandon(self) -> None:
        """The task has ignored its cancellation, and the loop stops: do not let the caller wait."""
        if not self.over:
            self._fail(PoolClosed(f"{self._live.name} was shut down when {self._state}"))

    # -- news from the caller -------------------------------------------------------------------

    def arrive(self, data: bytes | None, more: bool) -> None:
        """A piece of the body that the app has asked for; None if it is cut short."""
        if data is None or self.body is None:
            self._cut = True
        else:
            self.body.arrive(data, more)
        self._tell()

    def lose_client(self) -> None:
        """The client has closed its side: the app is told so, but may still answer."""
        self._cut = True
        self._tell()

    def disconnect(self) -> None:
        """The server takes no more of the response."""
        self._post_to_caller_no_more()
        error, self.error = self.error, None
        if error is not None:  # it has not asked for more, either
            report(error, self._ending())
        if self._complete or self._ended or self._gone:
            return
        self._gone = True
        self._tell()
        self._pass_grace(GRACE_STEPS)

    def _pass_grace(self, steps: int) -> None:
        """Cancel the task when it has had its time, counted only while the loop runs."""
        if not steps:
            self.cancel()
        elif self.task is not None:
            pause_s = DISCONNECT_GRACE_S / GRACE_STEPS
            self._live.loop.call_later(pause_s, self._pass_grace, steps - 1)

    def come_round(self) -> None:
        """Called back after the response is complete, so after what the app does right then."""
        self.came_round = True
        self._signal()

    def make_room(self) -> None:
        """The server has taken some of the response."""
        self._tell()

    # -- waiting --------------------------------------------------------------------------------

    async def _news(self) -> None:
        """Wait until something has changed. Several tasks may."""
        waiting = (waiter for waiter in self._waiters if not waiter.done())  # not cancelled
        waiter = self._live.loop.create_future()
        self._waiters = (*waiting, waiter)
        await waiter

    def _tell(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    # -- receive --------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next piece of the body; then nothing, until the client leaves or all is sent."""
        while not (self.over or self._gone or self._ended):
            if not self._heard:
                self._heard = True
                return {"type": "http.request", "body": b"", "more_body": False}
            body = self.body
            if body is not None:
                message = body.take()
                if message is not None:
                    return message
                if not self._cut and body.ask():
                    self._signal()
            if self._cut:
                break
            await self._news()
        return {"type": "http.disconnect"}

    # -- send -----------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """A message of the response.

        :raises AppProtocolError: it must not come now, or not in this form.
        :raises ClientDisconnected: nobody reads the response any more (ASGI HTTP spec,
            "Disconnected Client").
        """
        if self._gone:
            raise ClientDisconnected("the client left before the response was complete")
        state = HTTP_RESPONSE.after(self._state, message)
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start":
            self.head = head = make_wsgi_head(message)
            self._left = head.content_length
            self._drops_body = self._drops_body or head.bodyless
        elif kind == "http.response.early_hint":
            await send_hints(self, self._scope, message)
            return  # the state is as it was, or another task has moved it on
        else:
            self._send_extension(kind, message)
        self._state = state
        if self._written - self.accepted > self._live.options.response_window:
            await self._room()

    def _send_body(self, body: bytes, more: bool) -> None:
        if type(body) is not bytes:
            body = _as_bytes(body)
        if self._drops_body:
            self._drop(body, more)
        else:
            if self._left is not None:
                self._count(len(body), more)
            if body or not self._written:
                self.chunks.append(body)
                self._written += len(body)
        if more:
            self._signal()
        else:
            self._end()

    def _drop(self, body: bytes, more: bool) -> None:
        """HEAD, 204 and 304: the response is over with its head, whatever the app goes on to send.

        When that would have filled the window, and is not all, nobody is going to empty it.
        """
        self._written += len(body)
        self._gone = more and self._written > self._live.options.response_window
        self.over = True

    def _count(self, size: int, more: bool) -> None:
        """Keep the promise of Content-Length, where it is made good or broken."""
        left = self._left or 0
        if size > left:
            raise AppProtocolError(
                f"the body is longer than its content-length: {size} bytes came where {left} "
                "were left"
            )
        if not more and size < left:
            raise AppProtocolError(
                f"the body is shorter than its content-length: {left - size} bytes are missing"
            )
        self._left = left - size

    def _end(self) -> None:
        """The response is complete."""
        self._complete = True
        self.over = True
        self._signal()
        self._tell()

    async def _room(self) -> None:
        """Wait until the server has taken enough for more to come."""
        window = self._live.options.response_window
        while not (self.over or self._gone):
            with self._live.lock:
                if self._written - self.accepted <= window:
                    return
                self.stalled = True
            await self._news()
        if self._gone:
            raise ClientDisconnected("the client left before the response was complete")

    def _send_extension(self, kind: str, message: Message) -> None:
        if kind == "http.response.pathsend":
            path = message.get("path")
            if not isinstance(path, str):
                raise AppProtocolError(f"{kind}: path is {path!r}; the ASGI spec asks for a str")
            self.file = None if self.head.bodyless else path  # in answer to HEAD it is looked at
            self._end()
        elif kind.startswith("http.response.zerocopysend"):
            raise AppProtocolError(f"{kind}: this scope does not offer the extension")
        else:
            logger.debug("%s: dropped %s, which WSGI cannot send", self._live.name, kind)

    # -- sync code on the caller's thread -------------------------------------------------------

    def run_on_caller(self, call: Callable[[], T]) -> ThreadFuture[T]:
        """Run ``call`` on the thread that waits for this request. From any thread."""
        job = SubmittedCall(call)
        if self._live.thread.is_current():
            self._post_to_caller(job)
        else:
            self._live.inbox.post(partial(self._post_to_caller, job))
        return job.future

    def _post_to_caller(self, job: SubmittedCall) -> None:
        if self.jobs is None:
            self.jobs = CallerJobs(gone=self.over)
        self.jobs.post(job)
        self._signal()

    def _post_to_caller_no_more(self) -> None:
        if self.jobs is None:
            self.jobs = CallerJobs(gone=True)
        self.jobs.let_go()


def _as_bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise AppProtocolError(
        f"http.response.body: body is {type(body).__name__}; the ASGI spec asks for bytes"
    )

"""The loop side of a request through `WsgiToAsgi`. All of it runs on the event loop thread.

It reads the server's ``receive`` into ``wsgi.input``, and sends the response that the
:class:`~bridge.wsgi_to_asgi.thread_side.ThreadSide` produces on its worker thread, and what that
leaves of it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from asyncio import CancelledError
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from bridge._http.answers import TOO_LATE, asgi_answer, send_answer
from bridge._http.client_text import ClientText, literal
from bridge._observe.crossings import Crossings
from bridge._observe.record import RequestRecord
from bridge._observe.sizes import size_of_file
from bridge._repeated_log import RepeatedLog
from bridge._threads.context import adopt_changes, has_changed
from bridge._threads.loop_inbox import LoopInbox
from bridge.config import ToAsgiOptions
from bridge.errors import (
    AppProtocolError,
    BodyTimeout,
    ClientDisconnected,
    RequestTimeout,
    interrupts,
)
from bridge.types import Environ, Message, Receive, Scope, Send
from bridge.wsgi_to_asgi.bodies import RequestBody, ResponseBody
from bridge.wsgi_to_asgi.request_buffer import finish, finish_in_time
from bridge.wsgi_to_asgi.rest_side import send_rest
from bridge.wsgi_to_asgi.rests import Rests, RestTask
from bridge.wsgi_to_asgi.spool import Spool

if TYPE_CHECKING:
    from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["LoopSide"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

READ_BUFFER = 16384
CANCEL_S = 1.0
BODY_TOO_SLOW = "The request body did not arrive in time.\n"


class LoopSide:
    """One HTTP request: feeds the app's ``wsgi.input`` and sends its response.

    :param response: the body of the response, which the thread side writes.
    :ivar arrived_at: ``time.monotonic()`` before the body was read, if there is one.
    :ivar received: how many bytes of the request body have been read.
    :ivar is_plain: there is no request body, and the client has got all that the thread side has
        written as the response.
    :ivar answer: what the adapter itself has answered.
    """

    __slots__ = (
        "_body",
        "_body_cut",
        "_complete",
        "_declared",
        "_has_rest",
        "_inbox",
        "_listener",
        "_options",
        "_receive",
        "_response",
        "_rest",
        "_scope",
        "_send",
        "_started",
        "answer",
        "arrived_at",
        "is_plain",
        "received",
    )

    arrived_at: float

    def __init__(
        self,
        receive: Receive,
        send: Send,
        inbox: LoopInbox,
        response: ResponseBody,
        options: ToAsgiOptions,
    ) -> None:
        self._receive = receive
        self._send = send
        self._inbox = inbox
        self._response = response
        self._options = options
        self._rest: RestTask | None = None
        self._has_rest = False  # close() of a rest is called once
        self._listener: asyncio.Task[None] | None = None
        self._body: RequestBody | None = None  # only if it takes more than one message
        self._body_cut = False
        self._declared: int | None = None
        self.received = 0
        self.is_plain = True
        self.answer: list[Message] | None = None
        self._started = False
        self._complete = False

    # -- the request body -----------------------------------------------------------------------

    async def next_message(self) -> Message:
        """The server's next message of the body. Time counts only if it is not there yet.

        :raises BodyTimeout: it has not come within ``body_timeout_s``.
        """
        steps: Any = self._receive().__await__()
        try:
            wait = next(steps)
        except StopIteration as done:
            message: Message = done.value
            return message
        timeout_s = self._options.body_timeout_s
        if timeout_s is None:
            return await finish(steps, wait)
        return await finish_in_time(steps, wait, timeout_s)

    def open_body(self, environ: Environ, message: Message | None = None) -> None:
        """Set ``wsgi.input``.

        A body that is complete in its first message is handed over whole. Anything longer is read
        as the app asks for it.

        :param message: the first one; None leaves it to the app to ask for it.
        """
        declared = environ.get("CONTENT_LENGTH")
        if declared is not None:
            self._declared = int(declared)
        if message is not None and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            if declared is None and whole:
                environ["CONTENT_LENGTH"] = str(len(whole))  # chunked, but now it is known
            if declared is None or self._declared == len(whole):
                environ["wsgi.input"] = io.BytesIO(whole)
                if whole:
                    self.is_plain, self.received = False, len(whole)
                return
        self.is_plain = False
        options = self._options
        self._scope = environ["asgi.scope"]
        self._body = body = RequestBody(
            self._inbox, options.body_window, options.body_timeout_s, self._response.flush
        )
        environ["wsgi.input"] = io.BufferedReader(body, READ_BUFFER)
        if message is None:
            body.pause()
        if message is None or self._feed(body, message):
            self._listen()

    def _feed(self, body: RequestBody, message: Message) -> bool:
        """Add one ``http.request`` message to the body. False: it was the last."""
        chunk: bytes = message.get("body", b"")
        self.received += len(chunk)
        body.feed(chunk)
        if message.get("more_body", False):
            return True
        if self._declared is None or self._declared == self.received:
            body.end()
        else:
            body.fail(f"the body ended after {self.received} of {self._declared} bytes")
        return False

    # -- listening for the client ---------------------------------------------------------------

    async def _receive_until_disconnect(self) -> None:
        """A task, for requests that need it: feed the body, then wait for the disconnect."""
        try:
            message = await self._receive_body(self._body)
        except OSError as error:
            logger.debug("receive() raised: %r", error)
        except Exception:
            repeated.exception("receive() raised; the request is treated as disconnected")
        else:
            if message["type"] == "http.request":
                return  # a server with more body than it announced: nothing follows from it
        self.disconnect()
        if self._body_cut:
            self._response.notify()

    async def _receive_body(self, body: RequestBody | None) -> Message:
        """Feed the body; returns the first message that is not part of it."""
        while True:
            if body is not None:
                await body.wait_for_room()
            message = await self._receive()
            if body is None or message["type"] != "http.request":
                self._body_cut = body is not None
                return message
            if not self._feed(body, message):
                body = None

    def _listen(self) -> None:
        """From now on, notice a disconnect."""
        if self._listener is None:
            listening = self._receive_until_disconnect()
            self._listener = asyncio.create_task(listening, name="bridge-receive")

    def drop(self) -> None:
        """The app will never see this request."""
        self.disconnect()
        self._stop_listening()

    def disconnect(self) -> None:
        """The client has disconnected, or the server has given up: end the app's waits."""
        self.is_plain = False
        self._response.disconnect()
        if self._body is not None:
            self._body.fail("the client disconnected before the request body was complete")
        if self._rest is not None and not self._rest.is_sent:
            self._rest.cancel()

    # -- the response ---------------------------------------------------------------------------

    async def respond(self, job: ThreadSide, rests: Rests) -> bool:
        """Send the response as it is written, until the app has finished with the request.

        :param rests: sends what the thread may leave of it.
        :returns: :attr:`is_plain`.
        :raises Exception: whatever the app raised before its response was complete.
        """
        response = self._response
        done = False
        try:
            while not done:
                await response.changed()
                # In the opposite order to the worker's: see rule 2 of thread_side.
                response.poll()
                done, ended = job.done, job.ended
                if self._complete or response.disconnected:
                    if self._body_cut and not self._started:
                        await self.refuse_cut_body()
                    continue
                spool = response.spool  # before the chunks: rule 9 of ResponseBody
                body = response.take()
                if spool is not None:
                    await self._send_spooled(job, body, spool, ended, rests)
                elif body or ended or self._has_stalled():
                    await self._send_part(job, body, ended)
                if not (ended or self._complete):
                    self._listen()  # it takes longer: notice a disconnect
            if job.rest is not None:
                await self._send_rest(job, rests)
        except RequestTimeout as error:
            self._abandon(job, rests)
            await self._answer_late(job.scope, error)
            return False
        except BaseException:
            self._abandon(job, rests)  # cancelled, or the server refused what the app sent
            raise
        finally:
            self._stop_listening()
            if response.spool is not None:
                self._close_spool(response.spool, rests)
        if job.context:
            adopt_changes(job.context, response.seen)
        if job.error is not None:
            self._report(job)
        return self.is_plain

    def record(
        self, job: ThreadSide | None, crossings: Crossings, error: BaseException | None = None
    ) -> None:
        """Record the request, which is over, and was no ordinary one.

        :param job: None if it was not posted.
        :param error: that is raised to the server.
        """
        response = self._response
        record = self._make_record(job, crossings)
        if job is None:
            has_left = not isinstance(error, (Exception, type(None)))  # cancelled by the server
        else:
            is_over = self._complete or self.answer is not None
            is_late = isinstance(error, RequestTimeout)
            has_left = response.disconnected and not (is_over or is_late)
        record.disconnected = self._body_cut or has_left
        if self.answer is not None:
            record.status = self.answer[0]["status"]
            record.sent_bytes = len(self.answer[1]["body"])
        elif job is not None and self._started:
            assert job.head is not None
            record.status = job.head.status
            if job.file is None:
                written, accepted = response.progress()
                record.sent_bytes = accepted if record.disconnected else written
            elif not record.disconnected:
                record.sent_bytes = size_of_file(job.file, job.head.headers)
        if error is not None:
            record.has_failed(error)
        crossings.other(record)

    def _make_record(self, job: ThreadSide | None, crossings: Crossings) -> RequestRecord:
        """With the times."""
        now = monotonic()
        record = RequestRecord("http", method="", path="", client=None)
        record.received_bytes = self.received
        if job is not None:
            record.arrived_at = job.posted_at
            if not (job.refused is None and hasattr(job, "taken_at")):
                record.queue_s = now - job.posted_at
            else:
                record.queue_s = job.taken_at - job.posted_at
                if job.done:
                    record.thread_s = job.left_at - job.taken_at
                else:
                    job.on_late_end = partial(_record_late, job, crossings)
        record.arrived_at = getattr(self, "arrived_at", record.arrived_at)
        record.total_s = now - record.arrived_at
        return record

    def _has_stalled(self) -> bool:
        """Whether the app has waited in vain for the body, and has not begun its response."""
        return self._body is not None and self._body.stalled is not None and not self._started

    async def answer_timeout(self, scope: Scope, error: BodyTimeout) -> None:
        """Answer 408 (RFC 9110, 15.5.9). From now on the client is disconnected for the app."""
        repeated.info(
            "408 for %s %s: %s", ClientText(scope["method"]), ClientText(scope["path"]), error
        )
        await self.end_listening()
        closes = scope.get("http_version", "1.1").startswith("1")
        answer = asgi_answer(408, BODY_TOO_SLOW, method=scope["method"], closes=closes)
        await self.answer_itself(answer)
        self._complete = True
        self.disconnect()

    async def _answer_late(self, scope: Scope, error: RequestTimeout) -> None:
        """Answer 504 (RFC 9110, 15.6.5) to a request that was given up.

        :raises RequestTimeout: the response has begun: the server cuts it.
        """
        if self._complete or not error.is_awaited:
            return
        if self._started:
            raise error
        self._started = True
        await self.end_listening()
        closes = self._body is not None and scope.get("http_version", "1.1").startswith("1")
        answer = asgi_answer(504, TOO_LATE, method=scope["method"], closes=closes)
        await self.answer_itself(answer)

    async def answer_itself(self, answer: list[Message]) -> None:
        """Send an answer of the adapter."""
        self.is_plain = False
        self.answer = answer
        await send_answer(self._send, answer, logger)

    async def end_listening(self) -> None:
        """Before an answer of the adapter: granian keeps the connection open while one listens."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait((self._listener,), timeout=CANCEL_S)
            self._listener = None

    async def end_unread(self, announced: bool, crossings: Crossings | None) -> None:
        """The client has disconnected before the app was called.

        :param announced: whether there was to be a body.
        """
        if announced:
            await self.refuse_cut_body()
        self._body_cut = True
        if crossings is not None:
            self.record(None, crossings)

    async def refuse_cut_body(self) -> None:
        """Answer 400: the server has reported a disconnect in place of the rest of the body.

        Usually nobody reads that, and servers drop it. But granian reports a malformed chunk so,
        to a client that is still there, and answers 500 if the app does not.
        """
        self._body_cut = True
        self._started = True
        answer = asgi_answer(400, "The request body is incomplete or malformed")
        await self.answer_itself(answer)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        if self._body is not None:
            self._body.fail("the request is over")

    def _abandon(self, job: ThreadSide, rests: Rests) -> None:
        """The app runs on without a client: log the error that it may end with."""
        self.disconnect()
        self._end_when_done(job, rests)

    def _end_when_done(
        self, job: ThreadSide, rests: Rests, waited: asyncio.Future[None] | None = None
    ) -> None:
        response = self._response
        if waited is not None:
            waited.exception()  # the request has taken too long: there is nobody to answer
        response.poll()
        if not job.done:
            response.changed().add_done_callback(partial(self._end_when_done, job, rests))
        elif job.rest is not None and not self._has_rest:  # nobody sends it, but close() is called
            self._start_rest(job, rests).ended.add_done_callback(partial(self._log_error, job))
        else:
            self._log_error(job)

    def _log_error(self, job: ThreadSide, _: object = None) -> None:
        if job.error is not None:
            error, job.error = job.error, None
            logger.error("the app failed after the server had given up", exc_info=error)
        on_late_end = getattr(job, "on_late_end", None)
        if on_late_end is not None:
            on_late_end()

    async def _send_part(self, job: ThreadSide, body: bytes, ended: bool) -> None:
        """Send what has been written, after the head if it is the first part."""
        response, send = self._response, self._send
        try:
            if not self._started:
                self._started = True
                if self._body is not None and self._body.stalled is not None:
                    await self.answer_timeout(self._scope, self._body.stalled)
                    return
                await send(_start_message(job))
                if self._body is not None and not ended:
                    self._body.response_started(response)
            if job.file is not None:
                self.is_plain = False
                await send(job.file)
                response.accept(1)
            else:
                if response.waiting:
                    body = await self._send_one_by_one(body, response.waiting)
                if len(body) > self._options.response_window:
                    body = await self._send_pieces(body)
                await send({"type": "http.response.body", "body": body, "more_body": not ended})
                if not ended:  # else no thread waits for room
                    self._publish()
                    response.accept(len(body))
            self._complete = ended
        except OSError as error:  # ASGI HTTP spec, "Disconnected Client": send() may raise it
            logger.debug("send() raised: %r", error)
            self.disconnect()

    async def _send_one_by_one(self, body: bytes, waiting: int) -> bytes:
        """Send big chunks as they are; all but the last of those that wait, which is returned."""
        for _ in range(waiting):
            following = self._response.take()
            if not following:
                break
            await self._send_more(await self._send_pieces(body))
            body = following
        return body

    async def _send_pieces(self, body: bytes) -> bytes:
        """Send a huge body in pieces, for backpressure; all but the last, which is returned."""
        window = self._options.response_window
        if len(body) <= window:
            return body
        view = memoryview(body)
        while len(view) > window:
            await self._send_more(bytes(view[:window]))
            view = view[window:]
        return bytes(view)

    async def _send_more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._publish()
        self._response.accept(len(body))

    async def _send_spooled(
        self, job: ThreadSide, body: bytes, spool: Spool, ended: bool, rests: Rests
    ) -> None:
        """Send the chunks that are there, then what the spool has. Threads read its file."""
        while body:
            await self._send_part(job, body, ended=False)
            body = self._response.take()
        while not self._response.disconnected:
            body = await rests.call(spool.read)
            if not body:
                break
            await self._send_part(job, body, ended=False)
        if ended and not self._response.disconnected:
            await self._send_part(job, b"", ended=True)

    def _close_spool(self, spool: Spool, rests: Rests) -> None:
        try:
            rests.call(spool.close)  # the app may be writing to it
        except RuntimeError:  # the system has no more threads
            spool.close()

    # -- the rest -------------------------------------------------------------------------------

    async def _send_rest(self, job: ThreadSide, rests: Rests) -> None:
        """Send what the thread has left, and let ``close()`` be called after it.

        :raises CancelledError: the server has cancelled the request. The rest has ended.
        """
        self._rest = task = self._start_rest(job, rests)
        try:
            await asyncio.wait((task.ended,))
        except CancelledError:
            self._stop_rest()
            await asyncio.wait((task.ended,))
            raise
        finally:
            self._rest = None

    def _start_rest(self, job: ThreadSide, rests: Rests) -> RestTask:
        self._has_rest = True
        self.is_plain = False
        window = self._options.response_window
        sending = send_rest(job, _start_message(job), self, rests, window)
        return rests.start(sending, job.context, close=job.close_rest, stop=self._stop_rest)

    def _stop_rest(self) -> None:
        """The server has given up."""
        self.disconnect()
        if self._rest is not None:
            self._rest.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the client has disconnected."""
        return self._response.disconnected

    async def start(self, head: Message) -> bool:
        """Send the head, if it has not been sent: an async iterator may take long for the body.

        :returns: whether the body is wanted.
        """
        if not self._started:
            self._started = True
            if not await self._send_or_disconnect(head):
                return False
            if self._body is not None:
                self._body.response_started(self._response)
        return not self.is_over

    async def send_body(self, body: bytes, *, ended: bool) -> bool:
        """Send a part of the body, which follows what the thread has written.

        :returns: whether more is wanted.
        """
        message = {"type": "http.response.body", "body": body, "more_body": not ended}
        if self._rest is not None:
            self._rest.is_sent = ended  # first: servers report a disconnect once they have the end
        if not await self._send_or_disconnect(message):
            return False
        self._response.count(len(body))
        self._complete = ended
        return True

    async def _send_or_disconnect(self, message: Message) -> bool:
        try:
            await self._send(message)
        except OSError as error:  # ASGI HTTP spec, "Disconnected Client": send() may raise it
            logger.debug("send() raised: %r", error)
            self.disconnect()
        return not self.is_over

    def _publish(self) -> None:
        """Let the app see the context variables that ``send`` has set."""
        context = copy_context()
        changed = has_changed(context, self._response.published)
        self._response.habits.learn(changed)  # first: the worker then goes on in step
        if changed:
            self._response.publish(context)

    def _report(self, job: ThreadSide) -> None:
        """Raise the app's error to the server, or log it if the response is complete.

        A server would close the connection for an error after a complete response, and lose the
        next request on it.
        """
        error, job.error = job.error, None
        try:
            if error is None:
                return
            if isinstance(error, ClientDisconnected) and self._response.disconnected:
                logger.debug("the client did not send the whole body: %s", error)
            elif self._complete:
                logger.error("the app failed after its response was complete", exc_info=error)
            elif interrupts(error):
                raise AppProtocolError(f"the app raised {literal(error)}") from error
            else:
                raise error
        finally:
            del error  # its traceback holds this frame


def _record_late(job: ThreadSide, crossings: Crossings) -> None:
    """The thread is free, long after the request was over."""
    crossings.left((job.posted_at, job.taken_at, job.left_at))


def _start_message(job: ThreadSide) -> Message:
    head = job.head or job.require_head()
    return {"type": "http.response.start", "status": head.status, "headers": head.headers}

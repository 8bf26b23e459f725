"""The startup and shutdown of one app (ASGI lifespan specification 2.0), as two coroutines.

Input: an ASGI app and a mode. Output: :attr:`LifespanRunner.state`, which the app fills; or
:class:`~bridge.errors.LifespanFailed`, which names the app and the reason. Runs on: an event loop.

Rule 1. The app's lifespan is one task from startup to shutdown: frameworks enter a context manager
        in it, and the task that enters an anyio cancel scope must be the one that exits it.
Rule 2. ``"auto"`` treats an app that raises, or returns, before it answers ``lifespan.startup`` as
        an app without a lifespan; also one that sends an ``http.`` or ``websocket.`` message, which
        ignores ``scope["type"]``. ``"on"`` makes that an error, ``"off"`` never calls the app.
        ``lifespan.startup.failed`` is always an error. (The same modes as uvicorn's.)
Rule 3. No wait is longer than its timeout. An app that ignores its cancellation is abandoned.
Rule 4. An error is raised to the caller that waits for it, or logged if none does; never both.
Rule 5. An event loop that ends cancels all its tasks at once. If no server will shut the app down,
        its task survives that cancellation until ``shutdown()`` is called (``loop_is_ending``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from bridge._http.messages import LIFESPAN, State
from bridge._threads.own_tasks import own_task
from bridge.errors import AppProtocolError, LifespanFailed
from bridge.types import AsgiApp, LifespanMode, Message, Scope

__all__ = ["LifespanRunner", "app_name"]

logger = logging.getLogger("bridge.lifespan")

GRACE_S = 1.0
"""How long a task may take to end, after its last message or after its cancellation."""


class LifespanRunner:
    """Runs the lifespan of one app, once. All methods belong to one event loop.

    :param app: an ASGI 3 app.
    :param mode: ``"auto"``, ``"on"`` or ``"off"``.
    :param startup_timeout_s: how long startup may take, in seconds.
    :param state: the namespace for the app to fill; None makes a new one.
    :param loop_is_ending: whether a cancellation at this moment means that the loop is ending, and
        :meth:`shutdown` will still be called. None: it never means that.
    :ivar state: what the app has stored for its requests; each request gets a copy.
    :ivar has_started: whether the app has sent ``lifespan.startup.complete``.
    """

    def __init__(
        self,
        app: AsgiApp,
        mode: LifespanMode,
        *,
        startup_timeout_s: float,
        state: dict[str, Any] | None = None,
        loop_is_ending: Callable[[], bool] | None = None,
    ) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        self._app = app
        self._mode = mode
        self._startup_timeout_s = startup_timeout_s
        self._loop_is_ending = loop_is_ending
        self._protocol: State = LIFESPAN.start
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self.has_started = False
        self._is_awaited = False  # an error now is for the caller of startup() or shutdown()
        self._failure: str | None = None
        self._not_lifespan: AppProtocolError | None = None  # a message of another protocol: Rule 2
        self._late_failure: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the app. Returns once it has started, or turns out to have no lifespan.

        :raises LifespanFailed: the app reported a failure, raised, or took too long. The cause is
            the app's own exception, if there is one.
        """
        if self._mode == "off":
            return
        self._task = own_task(self._run(), asyncio.get_running_loop(), name="bridge-lifespan")
        try:
            if not await self._request("lifespan.startup", self._startup_timeout_s):
                raise LifespanFailed(
                    f"startup of {app_name(self._app)} took longer than startup_timeout_s="
                    f"{self._startup_timeout_s:g}: it has not answered 'lifespan.startup'. "
                    'Increase the timeout, or pass lifespan="off" if the app has no lifespan'
                )
        except BaseException:
            await self._end_task(grace_s=0)
            raise
        if not self.has_started:
            await self._end_task(grace_s=0 if self._not_lifespan else GRACE_S)
            self._check_why_ended()

    async def shutdown(self, timeout_s: float) -> None:
        """Shut the app down, if it has started. A second call does nothing.

        :raises LifespanFailed: the app reported a failure, raised, or took longer than
            ``timeout_s``.
        """
        task, answered = self._task, True
        if task is None:
            return
        try:
            if not task.done():
                answered = await self._request("lifespan.shutdown", timeout_s)
        finally:
            await self._end_task(grace_s=GRACE_S if answered else 0)
        if not answered:
            raise LifespanFailed(
                f"shutdown of {app_name(self._app)} took longer than {timeout_s:.3g} s: it has not "
                "answered 'lifespan.shutdown'"
            )
        if self._failure is not None or self._error is not None:
            raise self._make_error("shutdown")

    async def cancel(self) -> None:
        """Cancel the app's task, if it runs. The app gets no ``lifespan.shutdown``."""
        await self._end_task(grace_s=0)

    # -- the app's task -------------------------------------------------------------------------

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except GeneratorExit:  # freed with its loop: nothing waits for it, nothing can be logged
            raise
        except BaseException as error:  # also SystemExit, which must not end the loop
            if self._is_awaited:
                self._error = error
            elif not isinstance(error, asyncio.CancelledError):
                logger.error("the lifespan of %s failed", app_name(self._app), exc_info=error)
        else:
            if self._late_failure is not None:
                logger.error(
                    "the lifespan of %s failed: %s", app_name(self._app), self._late_failure
                )
        finally:
            self._answered.set()

    async def _receive(self) -> Message:
        message = await self._next_message()
        self._protocol = LIFESPAN.after(self._protocol, message, "server")
        return message

    async def _next_message(self) -> Message:
        while True:
            try:
                return await self._inbox.get()
            except asyncio.CancelledError:
                if self._loop_is_ending is None or not self._loop_is_ending():
                    raise  # else Rule 5

    async def _send(self, message: Message) -> None:
        try:
            self._protocol = LIFESPAN.after(self._protocol, message)
        except AppProtocolError as error:
            if not self.has_started and _is_of_a_request(message):
                self._not_lifespan = error
                self._answered.set()
            raise
        kind: str = message["type"]
        if kind == "lifespan.startup.complete":
            self.has_started = True
        elif kind.endswith(".failed"):
            reason = str(message.get("message") or "no reason given").strip()
            if self._is_awaited:
                self._failure = reason
            else:  # while the app should be running
                self._late_failure = reason
        self._answered.set()

    # -- messages to the app --------------------------------------------------------------------

    async def _request(self, kind: str, timeout_s: float) -> bool:
        """Send a message, and wait until the app answers or its task ends. False: timed out."""
        self._is_awaited = True
        self._answered.clear()
        self._inbox.put_nowait({"type": kind})
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        finally:
            self._is_awaited = self._failure is not None or kind == "lifespan.shutdown"
        return True

    async def _end_task(self, *, grace_s: float) -> None:
        """Wait for the task to end; cancel it if it still runs after ``grace_s``."""
        task, self._task = self._task, None
        if task is None:
            return
        if grace_s:
            await asyncio.wait([task], timeout=grace_s)
        if not task.done():
            self._is_awaited = False
            self._loop_is_ending = None
            task.cancel()
            await asyncio.wait([task], timeout=GRACE_S)

    # -- errors ---------------------------------------------------------------------------------

    def _check_why_ended(self) -> None:
        """Accept the end of the task without a startup, or raise: Rule 2."""
        self._error = self._not_lifespan or self._error
        if self._failure is not None or self._mode == "on":
            raise self._make_error("startup")
        error = self._error
        has_received = self._protocol != LIFESPAN.start
        if has_received and error is not None and not isinstance(error, AppProtocolError):
            logger.warning(
                "%s raised on 'lifespan.startup' and is treated as an app without a lifespan. "
                'Pass lifespan="on" to make this an error',
                app_name(self._app),
                exc_info=error,
            )
        else:
            logger.debug("%s has no lifespan: %r", app_name(self._app), error)

    def _make_error(self, phase: str) -> LifespanFailed:
        if isinstance(self._error, LifespanFailed):  # from bridge: names the app and the reason
            return self._error
        reason = self._failure
        if self._error is not None:
            # Starlette sends a whole traceback, and raises the exception as well: one is enough.
            reason = (
                _before_traceback(reason or "") or f"{type(self._error).__name__}: {self._error}"
            )
        elif reason is None:
            reason = f"it returned without answering 'lifespan.{phase}'"
        failed = LifespanFailed(f"{phase} of {app_name(self._app)} failed: {reason}")
        failed.__cause__ = self._error
        return failed


def _is_of_a_request(message: object) -> bool:
    """Whether it belongs to an HTTP request or a WebSocket."""
    kind = message.get("type") if isinstance(message, Mapping) else None
    return isinstance(kind, str) and kind.startswith(("http.", "websocket."))


def _before_traceback(text: str) -> str:
    """The lines before a traceback, all of them if there is none."""
    lines = takewhile(
        lambda line: "Traceback (most recent call last):" not in line, text.splitlines()
    )
    return "\n".join(lines).strip()


def app_name(app: object) -> str:
    """The name of an app in messages: ``module.function``, or the type of the object."""
    named: Any = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}.{named.__qualname__}"

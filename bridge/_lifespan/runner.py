"""An app's startup and shutdown (ASGI lifespan spec 2.0), as two coroutines. On an event loop.

What enters: an ASGI app and a mode. What leaves: :attr:`LifespanRunner.state`, filled by the app;
or :class:`~bridge.errors.LifespanFailed`, which names the app and what it said.

Rule 1. The app's lifespan is one task from startup to shutdown: frameworks enter a context manager
        in it, and anyio's cancel scopes must be left by the task that entered them.
Rule 2. ``"auto"`` takes an app for one without a lifespan if it raises, or returns, before it has
        answered ``lifespan.startup``. ``"on"`` makes that an error, ``"off"`` never calls the app.
        ``lifespan.startup.failed`` is an error always. (uvicorn's meanings.)
Rule 3. No wait is longer than its timeout. An app that ignores its cancellation is left behind.
Rule 4. An error is raised to whoever waits for it, or logged if nobody does; never both.
Rule 5. An event loop that ends cancels all its tasks at once. Where nobody but us tells the app to
        shut down, its task stays until it has been told (``is_ending``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bridge._http.messages import LIFESPAN, State
from bridge.errors import AppProtocolError, LifespanFailed
from bridge.types import AsgiApp, LifespanMode, Message, Scope

__all__ = ["LifespanRunner", "app_name"]

logger = logging.getLogger("bridge.lifespan")

GRACE_S = 1.0


class LifespanRunner:
    """Runs the lifespan of one app, once. All methods belong to one event loop.

    :param app: an ASGI 3 app.
    :param mode: ``"auto"``, ``"on"`` or ``"off"``.
    :param startup_timeout_s: the longest that startup may take.
    :param state: the namespace that the app is given to fill; a new one if None.
    :param is_ending: whether a cancellation that comes now is the loop's end, and ``shutdown`` is
        still going to be called. None: it never is.
    :ivar state: what the app has left for its requests; each gets a copy.
    :ivar has_started: the app has said so.
    """

    def __init__(
        self,
        app: AsgiApp,
        mode: LifespanMode,
        *,
        startup_timeout_s: float,
        state: dict[str, Any] | None = None,
        is_ending: Callable[[], bool] | None = None,
    ) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        self._app = app
        self._mode = mode
        self._startup_timeout_s = startup_timeout_s
        self._is_ending = is_ending
        self._conversation: State = LIFESPAN.start
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self.has_started = False
        self._awaited = False
        self._failure: str | None = None
        self._unasked: str | None = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    # -- for whoever runs the app ---------------------------------------------------------------

    async def startup(self) -> None:
        """Start the app. Returns once it has started, or has shown that it has no lifespan.

        :raises LifespanFailed: it said so, raised, or took too long. The app's own exception, if
            there is one, is the cause.
        """
        if self._mode == "off":
            return
        self._task = asyncio.create_task(self._run(), name="bridge-lifespan")
        try:
            if not await self._ask("lifespan.startup", self._startup_timeout_s):
                raise LifespanFailed(
                    f"startup of {app_name(self._app)} took longer than startup_timeout_s="
                    f"{self._startup_timeout_s:g}: it has not answered 'lifespan.startup'. Give it "
                    'more time, or pass lifespan="off" if it has no lifespan'
                )
        except BaseException:
            await self._end(grace_s=0)
            raise
        if not self.has_started:
            await self._end(grace_s=GRACE_S)
            self._judge_startup()

    async def shutdown(self, timeout_s: float) -> None:
        """Let the app shut down, if it has started. Does nothing the second time.

        :raises LifespanFailed: it said so, raised, or took longer than ``timeout_s``.
        """
        task, answered = self._task, True
        if task is None:
            return
        try:
            if not task.done():
                answered = await self._ask("lifespan.shutdown", timeout_s)
        finally:
            await self._end(grace_s=GRACE_S if answered else 0)
        if not answered:
            raise LifespanFailed(
                f"shutdown of {app_name(self._app)} took longer than {timeout_s:.3g} s: it has not "
                "answered 'lifespan.shutdown'"
            )
        if self._failure is not None or self._error is not None:
            raise self._failed("shutdown")

    async def abandon(self) -> None:
        """End the app's task, if it has one, without telling the app to shut down."""
        await self._end(grace_s=0)

    # -- the app's task -------------------------------------------------------------------------

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except GeneratorExit:  # freed with its loop: nobody is there to be told
            raise
        except BaseException as error:  # SystemExit, too: it must not end the loop
            if self._awaited:
                self._error = error
            elif not isinstance(error, asyncio.CancelledError):
                logger.error("the lifespan of %s failed", app_name(self._app), exc_info=error)
        else:
            if self._unasked is not None:
                logger.error("the lifespan of %s failed: %s", app_name(self._app), self._unasked)
        finally:
            self._answered.set()

    async def _receive(self) -> Message:
        message = await self._next()
        self._conversation = LIFESPAN.after(self._conversation, message, "server")
        return message

    async def _next(self) -> Message:
        while True:
            try:
                return await self._inbox.get()
            except asyncio.CancelledError:
                if self._is_ending is None or not self._is_ending():
                    raise

    async def _send(self, message: Message) -> None:
        self._conversation = LIFESPAN.after(self._conversation, message)
        kind: str = message["type"]
        if kind == "lifespan.startup.complete":
            self.has_started = True
        elif kind.endswith(".failed"):
            self._fail(str(message.get("message") or "it gave no reason"))
        self._answered.set()

    def _fail(self, reason: str) -> None:
        if self._awaited:
            self._failure = reason
        else:  # while it should be running
            self._unasked = reason

    # -- asking the app -------------------------------------------------------------------------

    async def _ask(self, kind: str, timeout_s: float) -> bool:
        """Send a message; wait for the answer, or for the end of the task. False: neither came."""
        self._awaited = True
        self._answered.clear()
        self._inbox.put_nowait({"type": kind})
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        finally:
            self._awaited = self._failure is not None or kind == "lifespan.shutdown"
        return True

    async def _end(self, *, grace_s: float) -> None:
        """Wait for the task to end; cancel it if it does not within ``grace_s``."""
        task, self._task = self._task, None
        if task is None:
            return
        if grace_s:
            await asyncio.wait([task], timeout=grace_s)
        if not task.done():
            self._awaited = False
            self._is_ending = None
            task.cancel()
            await asyncio.wait([task], timeout=GRACE_S)

    def _judge_startup(self) -> None:
        """The app has ended its lifespan without having started."""
        if self._failure is not None or self._mode == "on":
            raise self._failed("startup")
        error = self._error
        heard = self._conversation != LIFESPAN.start
        if heard and error is not None and not isinstance(error, AppProtocolError):
            logger.warning(
                "%s raised on 'lifespan.startup'; taken for an app without a lifespan. "
                'Pass lifespan="on" to make this an error',
                app_name(self._app),
                exc_info=error,
            )
        else:
            logger.debug("%s has no lifespan: %r", app_name(self._app), error)

    def _failed(self, phase: str) -> LifespanFailed:
        if isinstance(self._error, LifespanFailed):  # ours: it says which app, and why
            return self._error
        if self._failure is not None:
            # Starlette sends a whole traceback, and raises the exception, too: one is enough.
            why = self._failure.strip()
            why = why if self._error is None else why.rpartition("\n")[2]
        elif self._error is not None:
            why = f"{type(self._error).__name__}: {self._error}"
        else:
            why = f"it returned without answering 'lifespan.{phase}'"
        failed = LifespanFailed(f"{phase} of {app_name(self._app)} failed: {why}")
        failed.__cause__ = self._error
        return failed


def app_name(app: object) -> str:
    """How messages name an app: ``module.function``, or the type of the object."""
    named: Any = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}.{named.__qualname__}"

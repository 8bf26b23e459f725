"""The life of mounted apps in this process, whoever asks for it: once, and for all of them.

What enters: the lifespan scopes of servers that send one, and requests of servers that do not. What
leaves: apps that are up, once; they shut down when the last who asked for them is done. Startup
runs on the event loop of whoever asks first, and shutdown there, too.

Rule 1. ``_lock`` guards the fields below it, and is never held while foreign code runs.
Rule 2. A server that sends no lifespan shows it by sending a request. The first one starts the
        apps, all of them wait. A task of ours keeps them up: until the loop cancels its tasks, as
        `asyncio.run` does at its end, or else until the interpreter ends.
Rule 3. An app that has failed to start is not tried again by requests: each gets the same error.
Rule 4. A fork leaves the apps behind. The child begins without, and keeps the parent's in memory:
        were they freed, their context managers would end, and close what the parent still uses.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from typing import Any
from weakref import WeakSet

from bridge._lifespan.many import Lives, Member
from bridge._threads import process
from bridge.errors import LifespanFailed

__all__ = ["SharedLife"]

logger = logging.getLogger("bridge.lifespan")

END_GRACE_S = 5.0


class SharedLife:
    """The life of ``apps``.

    :param apps: those that have a lifespan, in their order.
    :param pools: adapters with threads, which drain them when told to shut down: before the apps.
        Only ASGI servers that send lifespan tell them; others leave threads to the process's end.
    :param shares_state: see :meth:`~bridge._lifespan.many.Lives.start`.
    :ivar up: nothing is left to be started: requests may go in. Read at every request.
    """

    def __init__(
        self, apps: Sequence[Member], pools: Sequence[Member], *, shares_state: bool
    ) -> None:
        self._apps = tuple(apps)
        self._pools = tuple(pools)
        self._on_wsgi = tuple(member for member in apps if not member.only_on_asgi)
        self._shares_state = shares_state
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._lives = Lives()
        self._holders = 0
        self._ready: Future[None] | None = None
        self._failed: LifespanFailed | None = None
        self._keeper: _Keeper | None = None
        self.up = not self._apps

    @property
    def starts_on_wsgi(self) -> bool:
        """Whether there is anything to start on a WSGI server."""
        return bool(self._on_wsgi)

    @property
    def longest_start_s(self) -> float:
        """How long all startups may take together, and a little to tell which took too long."""
        return sum(member.options.startup_timeout_s for member in self._apps) + END_GRACE_S

    @property
    def starting(self) -> Member | None:
        """The app whose startup runs at the moment."""
        return self._lives.starting

    # -- for those who run a lifespan -----------------------------------------------------------

    async def enter(self, state: dict[str, Any] | None, *, on_wsgi: bool) -> None:
        """Have the apps started, or wait until whoever came first has started them.

        :param state: of the lifespan scope.
        :param on_wsgi: it is our own, below the WSGI face, and no server's.
        :raises LifespanFailed: an app did not start.
        """
        with self._lock:
            ready, is_first = self._claim()
            self._holders += 1
        if not is_first:
            await _outcome(ready)
            return
        await self._start(ready, state, self._on_wsgi if on_wsgi else self._apps + self._pools)

    async def leave(self) -> None:
        """Shut the apps down, if nobody else has asked for them.

        :raises LifespanFailed: a shutdown failed.
        """
        if not self._let_go():
            return
        try:
            await self._lives.stop()
        finally:
            self._end()

    async def abandon(self) -> None:
        """The same, for who is cancelled: the apps are, too."""
        if not self._let_go():
            return
        try:
            await self._lives.abandon()
        finally:
            self._end()

    # -- for requests ---------------------------------------------------------------------------

    async def ensure(self) -> None:
        """Start the apps, if nobody has; wait until they are up.

        :raises LifespanFailed: an app did not start, now or before.
        """
        failed = self._failed
        if failed is not None:
            raise LifespanFailed(str(failed)) from failed.__cause__
        with self._lock:
            ready, is_first = self._claim()
            if is_first:
                self._holders += 1
                self._keeper = _Keeper(self, ready)
        await _outcome(ready)

    # -- the one start --------------------------------------------------------------------------

    def _claim(self) -> tuple[Future[None], bool]:
        """The future of the start, and whether it is the caller's to carry out."""
        if self._ready is not None:
            return self._ready, False
        self._failed = None
        self._ready = Future()
        return self._ready, True

    async def _start(
        self,
        ready: Future[None],
        state: dict[str, Any] | None,
        members: Sequence[Member],
        is_ending: Callable[[], bool] | None = None,
    ) -> None:
        try:
            await self._lives.start(
                members, state, shares_state=self._shares_state, is_ending=is_ending
            )
        except BaseException as error:
            self._give_up(ready, error)
            raise
        self.up = True
        ready.set_result(None)

    def _give_up(self, ready: Future[None], error: BaseException) -> None:
        failed = error if isinstance(error, LifespanFailed) else None
        with self._lock:
            self._holders = 0
            self._ready = None
            self._keeper = None
            self._failed = failed
        ready.set_exception(failed or LifespanFailed(f"startup was broken off: {error!r}"))

    def _let_go(self) -> bool:
        """Whether the caller was the last one."""
        with self._lock:
            self._holders -= 1
            if self._holders or not self._ready:
                return False
            self.up = not self._apps
            return True

    def _end(self) -> None:
        with self._lock:
            self._ready = None
            self._keeper = None


async def _outcome(ready: Future[None]) -> None:
    """Wait for the start of somebody else, without breaking it off when the caller is cancelled."""
    await asyncio.shield(asyncio.wrap_future(ready))


# -- where no server sends a lifespan --------------------------------------------------------------


class _Keeper:
    """Keeps the apps up on the running loop, until that ends."""

    def __init__(self, life: SharedLife, ready: Future[None]) -> None:
        self._life = life
        self._ready = ready
        self._pid = process.pid
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        # In a context of its own: the first request's is not for all that come after it.
        self._task: Task[None] = self._loop.create_task(
            self._keep(), name="bridge-lifespans", context=Context()
        )

    async def _keep(self) -> None:
        try:
            await self._life._start(self._ready, None, self._life._apps, self._is_ending)
        except Exception:
            return  # the requests that wait have it
        _kept.add(self)
        process.at_exit(process.Exit.LIFESPANS, _end_kept)
        try:
            await self._over.wait()
        except asyncio.CancelledError:
            pass  # the loop ends: Rule 2
        try:
            await self._life.leave()
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
        finally:
            _kept.discard(self)

    def _is_ending(self) -> bool:
        return self._task.cancelling() > 0

    def end(self) -> None:
        """At the interpreter's end, on its main thread: let the apps shut down."""
        if self._pid != process.pid:
            return
        if self._loop.is_closed():
            logger.warning(
                "the server has closed its event loop without ending the tasks on it: the mounted "
                "apps could not shut down"
            )
        elif self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result(self._longest_s)
        else:
            self._loop.run_until_complete(self._ended())

    async def _ended(self) -> None:
        self._over.set()
        await asyncio.wait([self._task])

    @property
    def _longest_s(self) -> float:
        return sum(member.options.shutdown_timeout_s for member in self._life._apps) + END_GRACE_S


_all: WeakSet[SharedLife] = WeakSet()
_kept: set[_Keeper] = set()
_inherited: list[object] = []


def _end_kept() -> None:
    for keeper in list(_kept):
        try:
            keeper.end()
        except Exception:
            logger.exception("the mounted apps could not shut down")


def _after_fork() -> None:
    _inherited.extend(_kept)
    _kept.clear()
    for life in list(_all):
        _inherited.append(life._lives)
        life._reset()


process.in_child(process.Fork.LIFESPANS, _after_fork)

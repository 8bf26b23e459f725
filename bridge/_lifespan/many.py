"""The lifespans of several apps as one: started in their order, shut down in reverse.

What enters: apps with their names, and the server's ``state``. What leaves: apps that have started,
and what each has left in its own state; or :class:`~bridge.errors.LifespanFailed`, which names the
app. All of it runs on one event loop.

Rule 1. The next app starts when the one before it has. If one fails, those that have started shut
        down again, and the error is the first one's.
Rule 2. Every app has a state of its own, which begins as a copy of the server's. What it adds is
        for its own requests only.
Rule 3. One shutdown that fails does not keep the others from theirs. The first error is raised when
        all are done, further ones are logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bridge._http.paths import shown
from bridge._lifespan.runner import LifespanRunner
from bridge.config import ToWsgiOptions
from bridge.errors import LifespanFailed
from bridge.types import AsgiApp

__all__ = ["Lives", "Member", "Share"]

logger = logging.getLogger("bridge.lifespan")


class Share:
    """What an app's lifespan has left for the app's own requests.

    :ivar own: the namespace that the app fills, the server's part included.
    """

    __slots__ = ("_base", "own")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing has started."""
        self.take({}, {})

    def take(self, own: dict[str, Any], base: dict[str, Any]) -> None:
        """``own`` is what the app fills, beginning with ``base``."""
        self.own = own
        self._base = base

    def added(self) -> dict[str, Any]:
        """The part of ``own`` that is not the server's, by now: an app may change it at any time.

        :returns: to be read, not to be changed.
        """
        base = self._base
        if not base:
            return self.own
        own, nothing = self.own.copy(), object()  # a thread of the app's may write to it now
        return {key: value for key, value in own.items() if base.get(key, nothing) is not value}


@dataclass(frozen=True, eq=False)
class Member:
    """One app among those that live together.

    :ivar prefix: where it is mounted; messages about it begin with that.
    :ivar only_on_asgi: on a WSGI server it is called as WSGI, and needs no lifespan.
    :ivar share: what it leaves for its requests.
    """

    app: AsgiApp
    prefix: str
    options: ToWsgiOptions
    only_on_asgi: bool = False
    share: Share = field(default_factory=Share)

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"the app mounted at {shown(self.prefix)!r}"


class Lives:
    """Runs the lifespans of ``members``. All methods belong to one event loop at a time.

    :ivar starting: the member whose startup runs now, if any.
    """

    def __init__(self) -> None:
        self.starting: Member | None = None
        self._running: list[tuple[Member, LifespanRunner]] = []

    async def start(
        self,
        members: Iterable[Member],
        state: dict[str, Any] | None,
        *,
        shares_state: bool = False,
        is_ending: Callable[[], bool] | None = None,
    ) -> None:
        """Start every app, one after the other.

        :param state: the server's, which it copies into each scope; None if it has none.
        :param shares_state: there is one app only: the server's state can be its own.
        :param is_ending: see :class:`~bridge._lifespan.runner.LifespanRunner`.
        :raises LifespanFailed: an app did not start. None has, afterwards.
        """
        try:
            for member in members:
                self.starting = member
                await self._start(member, state, shares_state, is_ending)
        except BaseException:
            await self._unwind_quietly()
            raise
        finally:
            self.starting = None

    async def _start(
        self,
        member: Member,
        state: dict[str, Any] | None,
        shares_state: bool,
        is_ending: Callable[[], bool] | None,
    ) -> None:
        base = state or {}
        own = state if shares_state and state is not None else dict(base)
        runner = LifespanRunner(
            member.app,
            member.options.lifespan,
            startup_timeout_s=member.options.startup_timeout_s,
            state=own,
            is_ending=is_ending,
        )
        try:
            await runner.startup()
        except LifespanFailed as error:
            raise LifespanFailed(f"{member.label}: {error}") from error.__cause__
        self._running.append((member, runner))
        if own is not state:
            member.share.take(own, dict(base))

    async def stop(self) -> None:
        """Shut down what has started, the last one first.

        :raises LifespanFailed: a shutdown failed, or took too long. All others are done.
        """
        failures: list[LifespanFailed] = []
        while self._running:
            member, runner = self._running.pop()
            try:
                await runner.shutdown(member.options.shutdown_timeout_s)
            except LifespanFailed as error:
                failures.append(_named(error, member))
            finally:
                member.share.clear()
        for failure in failures[1:]:
            logger.error("%s", failure, exc_info=failure.__cause__)
        if failures:
            raise failures[0]

    async def abandon(self) -> None:
        """Cancel what has started, the last one first, without a word."""
        while self._running:
            member, runner = self._running.pop()
            await runner.abandon()
            member.share.clear()

    async def _unwind_quietly(self) -> None:
        try:
            await self.stop()
        except LifespanFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)


def _named(error: LifespanFailed, member: Member) -> LifespanFailed:
    named = LifespanFailed(f"{member.label}: {error}")
    named.__cause__ = error.__cause__
    return named

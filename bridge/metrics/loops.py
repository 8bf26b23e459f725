"""How late event loops are, and how many tasks they have. A probe runs on each loop.

Rule 1. A probe is a timer of the loop that sets itself again, ``PROBE_S`` after it has run. How
        late it runs is what everything else on the loop has to wait, the interpreter lock included.
Rule 2. A loop that is blocked runs no probe: how late it is by now is read from outside.
Rule 3. A probe is kept by the timer of its loop alone, and ends with it.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from contextvars import Context
from weakref import WeakKeyDictionary

__all__ = ["LoopProbe", "LoopProbes"]

PROBE_S = 0.1
TASKS_EVERY = 10
"""Tasks are counted at each of so many probes: it takes a while where there are thousands."""


class LoopProbe:
    """Measures one loop. Runs on its thread.

    :param record: gets how late each probe was, in seconds.
    :ivar due_at: ``time.monotonic()`` when the next step is due: the start, then each probe.
    :ivar tasks: of the loop, as counted last.
    """

    __slots__ = ("_count", "_record", "due_at", "tasks")

    def __init__(self, record: Callable[[float], object]) -> None:
        self._record = record
        self._count = 0
        self.due_at = time.monotonic()
        self.tasks = 0

    def run(self) -> None:
        """One step. The first is posted to the loop, and the others are timers."""
        self._record(max(time.monotonic() - self.due_at, 0.0))
        loop = get_running_loop()
        if not self._count % TASKS_EVERY:
            self.tasks = len(asyncio.all_tasks(loop))
        self._count += 1
        self.due_at = time.monotonic() + PROBE_S
        loop.call_later(PROBE_S, self.run, context=Context())


class LoopProbes:
    """The probes of this process. One thread at a time.

    :ivar lags: how late they were, in seconds; whoever reads it empties it.
    """

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._probes: WeakKeyDictionary[AbstractEventLoop, LoopProbe] = WeakKeyDictionary()

    def watch(self, loop: AbstractEventLoop) -> None:
        """Measure this loop from now on, unless that is done."""
        if loop in self._probes:
            return
        probe = LoopProbe(self.lags.append)
        try:
            loop.call_soon_threadsafe(probe.run, context=Context())
        except RuntimeError:  # closed at this very moment
            return
        self._probes[loop] = probe

    def running(self) -> list[LoopProbe]:
        """Those of the loops that run at this moment."""
        return [probe for loop, probe in self._probes.items() if loop.is_running()]

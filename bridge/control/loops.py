"""How late the event loops of this process are: measured while somebody looks, and not otherwise.

Input: the loops that have an inbox. Output: for each, how long a callback waited until the loop ran
it. The control thread posts the callbacks, ten in a second; they run on the loops.

A loop that is blocked answers late or not at all, and the open callback says since when.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop, Task, all_tasks, get_running_loop
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from bridge._threads import process
from bridge._threads.greenlets import real_ident
from bridge._threads.loop_inbox import LoopInbox, inbox_of, known_loops

__all__ = ["LoopProbe", "LoopProbes", "Loops", "meet_loop", "tasks_of"]

PERIOD_S = 0.1
LOOKS_FOR_S = 5.0
SAMPLES = 100

_inherited: list[AbstractEventLoop] = []


def _forget_loops() -> None:
    """In a forked child: they run in the parent, and may share their descriptors with it."""
    _inherited.extend(known_loops())


process.in_child(process.Fork.CONTROL, _forget_loops)


_idents: WeakKeyDictionary[AbstractEventLoop, int] = WeakKeyDictionary()


def meet_loop() -> None:
    """Measure the loop that runs here from now on, while somebody looks. On its thread."""
    try:
        loop = get_running_loop()
    except RuntimeError:  # it is not asyncio's
        return
    inbox_of(loop)
    _idents[loop] = real_ident()


class LoopProbe:
    """Measures one loop.

    :ivar samples: the last delays, in seconds.
    :ivar ident: the loop's thread, as in ``sys._current_frames()``; None until it is known.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._inbox: LoopInbox = inbox_of(loop)
        self._sent_at: float | None = None
        self.samples: deque[float] = deque(maxlen=SAMPLES)
        self.ident: int | None = _idents.get(loop) or getattr(loop, "_thread_id", None)

    def send(self) -> None:
        """Post a callback, unless the last one is still open."""
        if self._sent_at is None:
            self._sent_at = time.monotonic()
            if not self._inbox.post(self._arrive):
                self._sent_at = None

    def _arrive(self) -> None:
        sent_at = self._sent_at
        if sent_at is not None:
            self.samples.append(time.monotonic() - sent_at)
        self.ident = real_ident()
        self._sent_at = None

    @property
    def open_s(self) -> float:
        """How long the loop has not answered."""
        sent_at = self._sent_at
        return 0.0 if sent_at is None else time.monotonic() - sent_at


Loops: TypeAlias = Sequence[tuple[AbstractEventLoop, LoopProbe]]
"""The loops of a process, with what has been measured of each."""


def tasks_of(loop: AbstractEventLoop) -> list[Task[Any]]:
    """The tasks of a loop that runs on another thread, as far as they can be seen."""
    try:
        return list(all_tasks(loop))
    except RuntimeError:  # it has changed too often meanwhile
        return []


class LoopProbes:
    """All loops of this process. On the control thread."""

    def __init__(self) -> None:
        self._probes: WeakKeyDictionary[AbstractEventLoop, LoopProbe] = WeakKeyDictionary()
        self._looks_until = -inf
        self._next_at = -inf

    def look(self) -> list[tuple[AbstractEventLoop, LoopProbe]]:
        """What has been measured. Goes on measuring for ``LOOKS_FOR_S``."""
        self._looks_until = time.monotonic() + LOOKS_FOR_S
        return [(loop, self._probe(loop)) for loop in _loops()]

    def tick(self) -> float | None:
        """Measure, if it is time to.

        :returns: in how many seconds the next time is; None: there is none.
        """
        now = time.monotonic()
        if now > self._looks_until:
            self._probes.clear()  # what comes back after a pause would be old
            return None
        if now >= self._next_at:
            self._next_at = now + PERIOD_S
            for loop in _loops():
                self._probe(loop).send()
        return self._next_at - now

    def _probe(self, loop: AbstractEventLoop) -> LoopProbe:
        probe = self._probes.get(loop)
        if probe is None:
            probe = self._probes[loop] = LoopProbe(loop)
        return probe


def _loops() -> list[AbstractEventLoop]:
    return [
        loop
        for loop in known_loops()
        if loop.is_running() and not any(loop is other for other in _inherited)
    ]

"""Calls nested on one group of threads: a thread that waits for such a call does not count.

What enters: the context of a call, and the threads of a group, a pool's or a limit's. What leaves:
the sync frames on those threads that wait for the call, and how many threads wait in all.

Sync code on a thread of the group calls async code (``async_to_sync``), which calls sync code of
the same group. Were each thread counted until its call ends, the group would soon have none left
for what they all wait for.

Rule 1. A thread waits from the moment in which a call is made that it waits for, until that call
        has ended, or the thread goes on without it, whichever comes first.
Rule 2. A frame that has gone on waits for nothing. What its coroutine has left
        running is no nested call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from threading import Thread
from typing import Any

from bridge._threads.asgiref_state import (
    executor_waiting_here,
    is_waiting,
    outer_executor,
    thread_of,
)

__all__ = ["Waits", "frames_waiting"]

Frame = Any
"""An executor of ``async_to_sync``: a ``CallerThread``, or asgiref's."""


def frames_waiting(threads: Container[Thread]) -> Sequence[Frame]:
    """The sync frames on ``threads`` that wait, ours or asgiref's, for the code that runs here."""
    frame: Frame = executor_waiting_here()
    if frame is None:  # as mostly
        return ()
    found = []
    while frame is not None:
        if is_waiting(frame) and thread_of(frame) in threads:
            found.append(frame)
        frame = outer_executor(frame)
    return found


class Waits:
    """Who of a group waits for calls of the same group. Under the group's lock."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: Counter[Frame] = Counter()

    def begin(self, frames: Sequence[Frame]) -> None:
        if frames:
            self._frames.update(frames)

    def end(self, frames: Sequence[Frame]) -> None:
        """Once for each :meth:`begin`."""
        if frames:
            self._frames -= Counter(frames)

    def threads(self) -> int:
        """How many threads wait."""
        if not self._frames:
            return 0
        return len({thread_of(frame) for frame in self._frames if is_waiting(frame)})

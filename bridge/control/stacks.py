"""The answer to ``bridge stacks``: where each busy thread and each task of this process stands.

Input: the frames of threads, of greenlets and of coroutines. Output: file, line, function and
source text of each frame; never the value of a variable. Runs on the control thread, and stops no
other: the frames of a thread that runs on are those of one moment.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from asyncio import AbstractEventLoop, Task, current_task
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from types import FrameType
from typing import Any, TypeAlias

from bridge._threads.greenlets import patched_by, real_ident
from bridge.control.loops import Loops, tasks_of
from bridge.control.protocol import LONGEST_ANSWER, MOST_ROWS, Answer, encode
from bridge.control.work import Work, thread_names, work_of_this_process

__all__ = ["BLOCKED_S", "stacks"]

ROOM = LONGEST_ANSWER * 3 // 4
"""Bytes of an answer for the stacks of requests: a thousand deep ones would be too long."""

MOST_FRAMES = 50
"""Of a stack: the innermost ones."""
LONGEST_LINE = 200
BLOCKED_S = 0.05
"""A loop that has not answered for so long is blocked."""

_BRIDGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")

Place: TypeAlias = tuple[FrameType, int]
"""A frame, and the line where it stands."""


def stacks(server: int, loops: Loops) -> Answer:
    """Where everything stands at this moment.

    ``busy`` has what runs, ``blocked`` the event loops that do not answer, ``idle`` all other
    threads and tasks, by where they stand, and how many stand there.
    """
    frames = _Frames(loops)
    work = work_of_this_process()
    blocked = [probe for _, probe in loops if probe.open_s > BLOCKED_S]
    busy = list(_busy(frames, work))
    shown = {frames.frame_of(each.ident) for each in work if each.task is None}
    shown |= {frames.frame_of(probe.ident) for probe in blocked}
    return {
        "server": server,
        "pid": os.getpid(),
        "busy": busy,
        "omitted": len(work) - len(busy),
        "blocked": [
            {
                "name": thread_names().get(probe.ident or 0, ""),
                "for_s": probe.open_s,
                "stack": _lines(frames.of_thread(probe.ident)),
            }
            for probe in blocked
        ],
        "idle": _idle(frames, shown, {id(each.task) for each in work}, loops),
    }


def _busy(frames: _Frames, work: list[Work]) -> Iterator[dict[str, Any]]:
    """As many as an answer has room for."""
    room = ROOM
    for each in work[:MOST_ROWS]:
        row = {**each.as_json(), "stack": _lines(frames.of(each))}
        room -= len(encode(row))
        if room < 0:
            return
        yield row


class _Frames:
    """The frames of this moment, by thread."""

    def __init__(self, loops: Loops) -> None:
        self._own = real_ident()
        self.threads = {
            ident: frame for ident, frame in sys._current_frames().items() if ident != self._own
        }
        self.greenlets = _greenlet_frames() if patched_by() is not None else {}
        self._running = {id(task): probe.ident for loop, probe in loops for task in _current(loop)}

    def of(self, work: Work) -> list[Place]:
        """Outermost first."""
        if work.task is None:
            return self.of_thread(work.ident)
        if id(work.task) in self._running:  # at this moment: its coroutines do not show where
            return self.of_thread(self._running[id(work.task)])
        return list(_awaits(work.task.get_coro()))

    def of_thread(self, ident: int | None) -> list[Place]:
        frame = self.frame_of(ident)
        return list(traceback.walk_stack(frame))[::-1] if frame is not None else []

    def frame_of(self, ident: int | None) -> FrameType | None:
        """The innermost frame of a thread or a greenlet."""
        return self.threads.get(ident or 0) or self.greenlets.get(ident or 0)


def _current(loop: AbstractEventLoop) -> Iterator[Task[Any]]:
    task = current_task(loop)
    if task is not None:
        yield task


def _greenlet_frames() -> dict[int, FrameType | None]:
    """The frames of greenlets, by what ``threading.get_ident()`` is in them.

    The one that runs has none of its own: it is where the thread of the hub stands.
    """
    from greenlet import greenlet  # type: ignore[import-untyped]  # has no stubs

    hub = sys._current_frames().get(_hub_ident)
    alive = [each for each in gc.get_objects() if isinstance(each, greenlet) and each]
    return {id(each): each.gr_frame or hub for each in alive}


_hub_ident = real_ident()  # of the thread that imports this; under gevent that is the hub's


def _awaits(awaited: Any) -> Iterator[Place]:
    """The coroutines of a task that is suspended, each awaited by the one before."""
    for _ in range(1000):
        for prefix in ("cr", "gi", "ag"):  # coroutine, generator, asynchronous generator
            frame = getattr(awaited, f"{prefix}_frame", None)
            if frame is not None:
                yield frame, frame.f_lineno
                inner = "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await"
                awaited = getattr(awaited, inner, None)
                break
        else:
            return


def _lines(places: list[Place]) -> list[dict[str, Any]]:
    """Without the outermost frames that are bridge's own, on every one of its threads the same."""
    own = list(takewhile(lambda place: _is_own(place[0]), places))
    rest = places[len(own) :] or places
    found = traceback.StackSummary.extract(iter(rest[-MOST_FRAMES:]), lookup_lines=True)
    return [
        {
            "file": each.filename,
            "line": each.lineno,
            "function": each.name,
            "text": (each.line or "")[:LONGEST_LINE],
        }
        for each in found
    ]


def _is_own(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file == threading.__file__ or file.startswith(_BRIDGE)


# -- what does nothing for a request ---------------------------------------------------------------


def _idle(
    frames: _Frames, shown: set[FrameType | None], tasks: set[int], loops: Loops
) -> list[dict[str, Any]]:
    groups: Counter[tuple[str, str, str, int]] = Counter()
    names = thread_names()
    for ident, frame in frames.threads.items():
        if frame not in shown:
            groups[
                ("thread", _group(names.get(ident, "")), *_where([(frame, frame.f_lineno)]))
            ] += 1
    for loop, _ in loops:
        for task in tasks_of(loop):
            if id(task) not in tasks:
                coroutine = task.get_coro()
                name = getattr(coroutine, "__qualname__", type(coroutine).__qualname__)
                places = list(_awaits(coroutine))
                groups[("task", name, *_where(places[-1:]))] += 1
    return [
        {"kind": kind, "name": name, "at": at, "line": line, "count": count}
        for (kind, name, at, line), count in groups.most_common(MOST_ROWS)
    ]


def _group(name: str) -> str:
    """The names of a pool's threads end with a number."""
    return name.rstrip("0123456789").rstrip("-_ ")


def _where(places: list[Place]) -> tuple[str, int]:
    for frame, line in places:
        return f"{frame.f_code.co_qualname} in {frame.f_code.co_filename}", line
    return "", 0

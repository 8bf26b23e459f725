"""Where threads and tasks stand, as lines of a traceback, for log lines.

They have the app's files and source lines, and no values: nothing that a client has sent.
"""

from __future__ import annotations

import sys
import traceback
from asyncio import Task
from types import FrameType
from typing import Any

__all__ = ["task_stack", "thread_stack"]

NO_STACK = "  (a thread that has ended, or a greenlet)"


def thread_stack(ident: int) -> str:
    """Where a thread stands.

    :param ident: of a thread of the operating system, which no monkey patch has changed.
    """
    frame = sys._current_frames().get(ident)
    return _shown("".join(traceback.format_stack(frame))) if frame else NO_STACK


def task_stack(task: Task[Any]) -> str:
    """Where a task waits, from its coroutine to the innermost that is written in Python."""
    awaited: Any = task.get_coro()
    lines: list[str] = []
    while awaited is not None:
        frame, following = _frame_of(awaited)
        if frame is not None:
            lines += traceback.format_stack(frame, limit=1)
        awaited = following
    return _shown("".join(lines)) if lines else "(it has ended)"


def _frame_of(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of a coroutine or generator, and what it waits for."""
    for frame, following in (
        ("cr_frame", "cr_await"),
        ("gi_frame", "gi_yieldfrom"),
        ("ag_frame", "ag_await"),
    ):
        if hasattr(awaited, frame):
            return getattr(awaited, frame), getattr(awaited, following)
    return None, None


def _shown(stack: str) -> str:
    return stack.rstrip("\n")

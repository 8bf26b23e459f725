"""When the jobs of pools were posted, started and ended, recorded where something asks for that.

Off by default: a pool then compares its recorder with None, once for each job. On, it appends three
numbers to a list; whoever asked takes the list apart from time to time. To extend a list by a tuple
is atomic on every build, so threads need no lock.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["JobTimes", "Record", "clear_job_times", "record_jobs", "recorder_of", "take_job_times"]

JobTimes = tuple[float, float, float]
"""When a job was posted, when it started, and when it ended: ``time.monotonic()``."""

Record = Callable[[JobTimes], object]
"""Called with the times of each job, on the thread that has run it."""

_times: dict[str, list[float]] = {}
_is_on = False


def record_jobs() -> None:
    """Record the jobs of the pools that are made from now on."""
    global _is_on
    _is_on = True


def recorder_of(pool: str) -> Record | None:
    """What a pool of this name calls for each job; None: nothing."""
    return _times.setdefault(pool, []).extend if _is_on else None


def clear_job_times() -> None:
    """In a forked child: what was recorded is its parent's."""
    for times in _times.values():
        times.clear()


def take_job_times() -> dict[str, tuple[list[float], list[float], list[float]]]:
    """What was recorded since the last call, by the name of the pool: when each job was posted,
    started and ended. One thread at a time.
    """
    taken = {}
    for name, times in list(_times.items()):
        batch = times[:]
        del times[: len(batch)]
        taken[name] = batch[0::3], batch[1::3], batch[2::3]
    return taken

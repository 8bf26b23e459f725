"""The answer to ``bridge top``: what runs in this process, what waits, and how late its loops are.

Runs on the control thread. Durations are in seconds; counts are since the process began, so that
two snapshots give a rate.
"""

from __future__ import annotations

import os
import sys
import time
from asyncio import AbstractEventLoop
from dataclasses import asdict
from typing import Any

from bridge._threads.pool import WorkerPool, living_pools
from bridge._version import __version__
from bridge.control.loops import LoopProbe, Loops, tasks_of
from bridge.control.protocol import MOST_ROWS, Answer
from bridge.control.recording import Durations, requests
from bridge.control.work import thread_names, work_of_this_process
from bridge.types import PoolStats

__all__ = ["snapshot"]

_began_at = time.monotonic()


def snapshot(server: int, loops: Loops) -> Answer:
    """What goes on at this moment.

    :param server: what the processes of one server have in common.
    """
    work = work_of_this_process()
    pools = sorted(living_pools(), key=lambda pool: pool.name)
    return {
        "server": server,
        "pid": os.getpid(),
        "version": __version__,
        "python": sys.version.split()[0],
        "now": time.monotonic(),
        "up_s": time.monotonic() - _began_at,
        "work": [each.as_json() for each in work[:MOST_ROWS]],
        "omitted": max(len(work) - MOST_ROWS, 0),
        "websockets": sum(each.kind == "websocket" for each in work),
        "requests": _requests(),
        "pools": [row for pool in pools[:MOST_ROWS] if (row := _pool(pool)) is not None],
        "loops": [_loop(loop, probe) for loop, probe in loops[:MOST_ROWS]],
    }


def _requests() -> dict[str, Any] | None:
    """None if no app is watched."""
    if not requests.is_watched:
        return None
    took = requests.durations()
    return {
        "open": len(requests.open()),
        "completed": requests.completed,
        **_percentiles(took),
    }


def _percentiles(took: Durations) -> dict[str, Any]:
    return {
        "measured": took.count,
        "p50_s": took.percentile(0.50),
        "p99_s": took.percentile(0.99),
    }


def _pool(pool: WorkerPool) -> dict[str, Any] | None:
    """None of a pool that has never had a job."""
    stats: PoolStats = pool.stats()
    if not (stats.threads or stats.completed or stats.refused):
        return None
    posted_at = pool.oldest_posted_at()
    return {
        "name": pool.name,
        "most_threads": pool.max_threads,
        "oldest_wait_s": 0.0 if posted_at is None else max(time.monotonic() - posted_at, 0),
        **asdict(stats),
    }


def _loop(loop: AbstractEventLoop, probe: LoopProbe) -> dict[str, Any]:
    lags = Durations(probe.samples.copy())
    open_s = probe.open_s
    return {
        "name": thread_names().get(probe.ident or 0, ""),
        "lag_s": max(lags.percentile(0.5) or 0.0, open_s) if lags.count or open_s else None,
        "lag_p99_s": max(lags.percentile(0.99) or 0.0, open_s) if lags.count or open_s else None,
        "tasks": len(tasks_of(loop)),
    }

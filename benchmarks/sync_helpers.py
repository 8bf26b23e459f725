"""Compares `sync_to_async` and `async_to_sync` with asgiref's, in turn, in one process.

::

    python benchmarks/sync_helpers.py             # on all CPUs, then on one
    python benchmarks/sync_helpers.py --loop uvloop --rounds 15

Each line is one way to call a helper. Both libraries run it in turn, round after round; the numbers
are the lowest of the rounds, in microseconds per call, because other activity of the machine can
only add to them. "floor" is the cost of the bare hand-over: a lock that wakes a thread, and
``call_soon_threadsafe`` to return. ``--cpu`` measures the processor time of all threads instead of
elapsed time, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from time import perf_counter, process_time
from typing import Any

import asgiref.sync

import bridge.sync

Library = Any
"""``bridge.sync`` or ``asgiref.sync``: both have the two helpers."""

Measure = Callable[[Library, int], Coroutine[Any, Any, float]]

clock = perf_counter


def identity(value: int) -> int:
    return value


async def coroutine() -> int:
    return 1


# -- the measurements: each returns microseconds per call ------------------------------------------


async def one_at_a_time(library: Library, calls: int, *, thread_sensitive: bool) -> float:
    function = library.sync_to_async(identity, thread_sensitive=thread_sensitive)
    await function(0)
    start = clock()
    for number in range(calls):
        await function(number)
    return (clock() - start) / calls * 1e6


async def gathered(library: Library, calls: int, *, thread_sensitive: bool) -> float:
    function = library.sync_to_async(identity, thread_sensitive=thread_sensitive)
    await function(0)
    start = clock()
    await asyncio.gather(*(function(number) for number in range(calls)))
    return (clock() - start) / calls * 1e6


def repeat_sync(library: Library, calls: int) -> float:
    function = library.async_to_sync(coroutine)
    function()
    start = clock()
    for _ in range(calls):
        function()
    return (clock() - start) / calls * 1e6


async def with_no_loop(library: Library, calls: int) -> float:
    """In a plain thread without an event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, repeat_sync, library, calls)


async def in_a_worker_thread(library: Library, calls: int) -> float:
    """Under ``sync_to_async``: the coroutines run on the calling event loop."""
    function: Any = library.sync_to_async(repeat_sync, thread_sensitive=False)
    result: float = await function(library, calls)
    return result


async def floor(calls: int) -> float:
    wake_up = threading.Lock()
    wake_up.acquire()
    loop = asyncio.get_running_loop()
    jobs: deque[asyncio.Future[int] | None] = deque()

    def work() -> None:
        while True:
            wake_up.acquire()
            job = jobs.popleft()
            if job is None:
                return
            loop.call_soon_threadsafe(job.set_result, 1)

    thread = threading.Thread(target=work)
    thread.start()
    start = clock()
    for _ in range(calls):
        job: asyncio.Future[int] = loop.create_future()
        jobs.append(job)
        wake_up.release()
        await job
    duration_s = clock() - start
    jobs.append(None)
    wake_up.release()
    thread.join()
    return duration_s / calls * 1e6


MEASURES: dict[str, tuple[Measure, int]] = {
    "sync_to_async, one at a time": (
        lambda library, calls: one_at_a_time(library, calls, thread_sensitive=True),
        1000,
    ),
    "  thread_sensitive=False": (
        lambda library, calls: one_at_a_time(library, calls, thread_sensitive=False),
        1000,
    ),
    "sync_to_async, gather of 5,000": (
        lambda library, calls: gathered(library, calls, thread_sensitive=True),
        5000,
    ),
    "  thread_sensitive=False ": (
        lambda library, calls: gathered(library, calls, thread_sensitive=False),
        5000,
    ),
    "async_to_sync, no loop": (with_no_loop, 200),
    "async_to_sync, in a worker thread": (in_a_worker_thread, 1000),
}


# -- running --------------------------------------------------------------------------------------


def runner_of(loop: str) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    if loop == "asyncio":
        return asyncio.run
    import uvloop

    return uvloop.run


async def rounds_of(measure: Measure, calls: int, rounds: int) -> tuple[float, float]:
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):
        theirs.append(await measure(asgiref.sync, calls))
        ours.append(await measure(bridge.sync, calls))
    return min(theirs), min(ours)


def report(title: str, loop: str, rounds: int) -> None:
    run = runner_of(loop)
    lowest = min(run(floor(1000)) for _ in range(rounds))
    print(f"\n{title}, {loop}, floor {lowest:.1f} us")
    print(f"{'':36}{'asgiref':>10}{'bridge':>10}{'ratio':>8}")
    for name, (measure, calls) in MEASURES.items():
        theirs, ours = run(rounds_of(measure, calls, rounds))
        print(f"{name:36}{theirs:10.1f}{ours:10.1f}{theirs / ours:7.1f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("free", "pinned"))
    parser.add_argument(
        "--cpu", action="store_true", help="measure processor time instead of elapsed time"
    )
    options = parser.parse_args()
    global clock
    clock = process_time if options.cpu else perf_counter
    print(f"Python {sys.version.split()[0]}, asgiref {asgiref.__version__}, {os.cpu_count()} CPUs")
    if options.only != "pinned":
        report("on all CPUs", options.loop, options.rounds)
    if options.only != "free" and hasattr(os, "sched_setaffinity"):
        _pin({min(os.sched_getaffinity(0))})
        report("on one CPU", options.loop, options.rounds)


def _pin(cpus: set[int]) -> None:
    """Pin all existing threads: one call pins one thread and those that it starts later."""
    threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["0"]
    for thread in threads:
        os.sched_setaffinity(int(thread), cpus)


if __name__ == "__main__":
    main()

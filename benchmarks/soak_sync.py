"""A long run of mixed calls of the sync helpers, ours and asgiref's, under a watchdog.

::

    python benchmarks/soak_sync.py                     # 200,000 calls
    python benchmarks/soak_sync.py --calls 20000 --loop uvloop

Sync code calls async code and the reverse, nested up to five deep, in many concurrent tasks and
threads; some calls are cancelled, time out or raise; some streams are not read to their end. Checks
that every call ends with its own result, that no threads and tasks are left over, and that memory
does not grow. A run without progress for a minute exits with the stack of every thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import random
import resource
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asgiref.sync

import bridge
import bridge.sync

WATCHDOG_S = 60
SIDES = (bridge.sync, bridge.sync, asgiref.sync)  # ours twice as often


class Refused(Exception):
    """Raised by some of the calls."""


class Soak:
    """One run: the number of calls left, and the outcomes of those that ended."""

    def __init__(self, calls: int, seed: int) -> None:
        self.left = calls
        self.ended: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.random = random.Random(seed)

    def take(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def count(self, outcome: str) -> None:
        with self.lock:
            self.ended[outcome] += 1

    # -- the calls ------------------------------------------------------------------------------

    def sync_code(self, depth: int, value: int) -> int:
        """Sync code that calls async code until the depth is 0, and returns ``value``."""
        if depth == 0:
            if value % 29 == 0:
                raise Refused(value)
            return value
        side = SIDES[(depth + value) % 3]
        result: int = side.async_to_sync(self.async_code)(depth - 1, value)
        return result

    async def async_code(self, depth: int, value: int) -> int:
        if depth == 0:
            await asyncio.sleep(0)
            return value
        sensitive = (value // 3) % 4 != 0
        # asgiref alone, nested on asyncio's executor, would deadlock sooner or later.
        side = SIDES[(depth * 7 + value) % 3] if sensitive or depth == 1 else bridge.sync
        call = side.sync_to_async(self.sync_code, thread_sensitive=sensitive)
        result: int = await call(depth - 1, value)
        return result

    async def one(self, value: int) -> None:
        """One call from async code; the value selects its kind."""
        kind = value % 10
        try:
            if kind == 0:
                await asyncio.wait_for(self.async_code(value % 5 + 1, value), value % 7 / 1000)
            elif kind == 1:
                await self.cancelled(value)
            elif kind == 2:
                await self.stream_in(value)
            elif kind == 3:
                await self.in_context(value)
            else:
                assert await self.async_code(value % 5 + 1, value) == value
            self.count("returned")
        except (Refused, TimeoutError, asyncio.CancelledError) as error:
            self.count(type(error).__name__)

    async def cancelled(self, value: int) -> None:
        task = asyncio.create_task(self.async_code(value % 4 + 1, value))
        for _ in range(value % 5):
            await asyncio.sleep(0)
        task.cancel()
        await task

    async def stream_in(self, value: int) -> None:
        def numbers() -> Iterator[int]:
            yield from range(value % 50)

        stream = bridge.iterate_in_threads(
            numbers(), window=value % 7 + 1, thread_sensitive=value % 3 != 0
        )
        async with contextlib.aclosing(stream):
            async for number in stream:
                if number > 20:
                    break

    async def in_context(self, value: int) -> None:
        async with bridge.ThreadSensitiveContext():
            threads = await asyncio.gather(
                *(SIDES[n].sync_to_async(threading.current_thread)() for n in range(3))
            )
            assert len(set(threads)) == 1
            assert await self.async_code(3, value | 1) == value | 1

    def one_from_sync(self, value: int) -> None:
        """One call from a thread without an event loop."""
        try:
            if value % 5 == 0:
                self.stream_out(value)
            else:
                assert self.sync_code(value % 4 + 1, value) == value
            self.count("returned")
        except Refused:
            self.count("Refused")

    def stream_out(self, value: int) -> None:
        async def numbers() -> AsyncIterator[int]:
            for number in range(value % 50):
                await asyncio.sleep(0)
                yield number

        for number in bridge.iterate_in_loop(numbers(), window=value % 7 + 1):
            if number > 20:
                break

    # -- the workers that make the calls --------------------------------------------------------

    async def worker(self) -> None:
        while self.take():
            await self.one(self.random.randrange(1_000_000))

    def sync_worker(self) -> None:
        while self.take():
            self.one_from_sync(self.random.randrange(1_000_000))

    async def main(self, tasks: int, threads: int) -> None:
        sync_workers = [threading.Thread(target=self.sync_worker) for _ in range(threads)]
        for thread in sync_workers:
            thread.start()
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(self.worker())
        for thread in sync_workers:
            await asyncio.to_thread(thread.join)


def watch(soak: Soak, stop: threading.Event) -> None:
    """Restart the watchdog's timer as long as calls end."""
    seen = -1
    while not stop.wait(1):
        ended = sum(soak.ended.values())
        if ended != seen:
            seen = ended
            faulthandler.dump_traceback_later(WATCHDOG_S, exit=True)


def memory_mb() -> float:
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def settle() -> tuple[float, int, int]:
    """Wait for the cleanup, then return memory in MB, threads, and tasks on the kept loop."""
    for _ in range(3):
        gc.collect()
        time.sleep(0.2)
    tasks = asyncio.run_coroutine_threadsafe(_count_tasks(), bridge.async_to_sync(_this_loop)())
    return memory_mb(), threading.active_count(), tasks.result() - 1


async def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())


def run(calls: int, loop: str, seed: int) -> Counter[str]:
    """:returns: the number of calls by outcome."""
    runner: Callable[..., Any] = asyncio.run
    if loop == "uvloop":
        import uvloop

        runner = uvloop.run
    soak = Soak(calls, seed)
    stop = threading.Event()
    watchdog = threading.Thread(target=watch, args=(soak, stop))
    watchdog.start()
    try:
        runner(soak.main(tasks=40, threads=8))
    finally:
        stop.set()
        watchdog.join()
        faulthandler.cancel_dump_traceback_later()
    return soak.ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument(
        "--rounds", type=int, default=10, help="number of runs, with a check for growth after each"
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ended: Counter[str] = Counter()
    sizes: list[tuple[float, int, int]] = []
    for number in range(options.rounds):
        start = time.perf_counter()
        ended += run(options.calls // options.rounds, options.loop, options.seed + number)
        sizes.append(settle())
        rate = options.calls / options.rounds / (time.perf_counter() - start)
        memory, threads, tasks = sizes[-1]
        print(
            f"{sum(ended.values()):>8} calls, {rate:6.0f}/s, {memory:6.1f} MB, "
            f"{threads} threads, {tasks} tasks left",
            flush=True,
        )
    print(dict(ended))
    check(options, ended, sizes)


def check(
    options: argparse.Namespace, ended: Counter[str], sizes: list[tuple[float, int, int]]
) -> None:
    """Fail if calls were lost, or if anything still grew in the second half of the rounds."""
    expected = options.calls // options.rounds * options.rounds
    assert sum(ended.values()) == expected, f"{sum(ended.values())} of {expected} calls ended"
    base = sizes[(len(sizes) - 1) // 2]
    last = sizes[-1]
    assert last[1] <= base[1] + 4, f"threads grew from {base[1]} to {last[1]}"
    assert last[2] == 0, f"{last[2]} tasks are left over"
    assert last[0] <= base[0] * 1.15 + 8, f"memory grew from {base[0]:.0f} to {last[0]:.0f} MB"


if __name__ == "__main__":
    main()

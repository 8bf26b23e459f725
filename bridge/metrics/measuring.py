"""The metrics of this process: what is measured, and the thread that does so.

Rule 1. Requests and jobs are recorded by appending to lists, on the threads that serve them. The
        thread here takes the lists apart every ``EVERY_S``, so they stay short; a scrape does so
        too, so that it is exact.
Rule 2. ``_lock`` is held while numbers are read or changed: by that thread, by a scrape, and by
        nothing that serves a request.
Rule 3. A forked child measures from zero, with a thread of its own.
Rule 4. Gauges are those of workers. A process that forks before it has served anything is their
        master, and one that a worker forks is no worker, until they serve something themselves.
"""

from __future__ import annotations

import logging
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from operator import sub

from bridge._repeated_log import RepeatedLog
from bridge._threads import process
from bridge._threads.asgiref_state import queue_length, single_thread_executor
from bridge._threads.job_times import clear_job_times, record_jobs, recorder_of, take_job_times
from bridge._threads.locks import GreenletMutex
from bridge._threads.loop_inbox import inbox_of, known_loops
from bridge._threads.own_threads import OwnThread
from bridge._threads.pool import WorkerPool, living_pools
from bridge.asgi_to_wsgi.running_app import running_apps
from bridge.metrics.catalogue import (
    BACKGROUND_TASKS,
    HAND_OVERS,
    LIMIT_MOST,
    LIMIT_RUNNING,
    LIMIT_WAITING,
    LOOP_LAG_S,
    LOOP_LATE_S,
    LOOPS,
    POOL_BACKLOG,
    POOL_BACKLOG_MOST,
    POOL_BUSY,
    POOL_IDLE,
    POOL_MOST,
    POOL_QUEUE_S,
    POOL_REFUSED,
    POOL_THREAD_S,
    POOL_THREADS,
    PROCESSES,
    REQUESTS_IN_PROGRESS,
    SINGLE_THREAD_WAITING,
    TASKS,
)
from bridge.metrics.growth import Growth
from bridge.metrics.loops import LoopProbes
from bridge.metrics.numbers import Numbers
from bridge.metrics.requests import RequestCounter
from bridge.sync.pools import Limit, living_limits

__all__ = ["Measuring"]

logger = logging.getLogger("bridge.metrics")
repeated = RepeatedLog(logger)

EVERY_S = 1.0


class Measuring:
    """All that is measured in this process. Made once.

    :param publish: called with the numbers every second, and at the end of the process, on the
        thread of this class; None: they are only read by scrapes.
    :ivar requests: an observer of requests.
    """

    def __init__(self, publish: Callable[[Numbers], object] | None = None) -> None:
        self.requests = RequestCounter()
        self._publish = publish
        self._is_worker = True
        self._reset()
        record_jobs()
        groups: list[WorkerPool | Limit] = [*living_pools(), *living_limits()]
        for group in groups:
            group.record = recorder_of(group.name)
        process.in_parent(self._note_fork)
        process.in_child(process.Fork.METRICS, self._restart)
        process.at_exit(process.Exit.METRICS, self._end)
        self._start_thread()

    def _reset(self) -> None:
        self._lock = GreenletMutex()
        self._publishing = GreenletMutex()
        self._numbers = Numbers()
        self._refused: Growth[WorkerPool] = Growth()
        self._thread_wakes: Growth[WorkerPool] = Growth()
        self._loop_wakes: Growth[AbstractEventLoop] = Growth()
        self._probes = LoopProbes()
        self._stop = threading.Event()
        self._has_served = False

    def _note_fork(self) -> None:
        if not self._serves():
            self._is_worker = False

    def _serves(self) -> bool:
        return self._has_served or self.requests.has_news

    def _restart(self) -> None:
        self._is_worker = not self._serves()
        clear_job_times()
        self.requests.clear()
        self._reset()
        self._start_thread()

    def _start_thread(self) -> None:
        OwnThread(target=self._run, args=(self._stop,), name="bridge-metrics", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY_S):
            self.tick()

    def tick(self) -> None:
        """Read the numbers, and publish them."""
        try:
            with self._publishing:
                numbers = self.read()
                if self._publish is not None:
                    self._publish(numbers)
        except Exception:
            repeated.exception("the metrics of this second are lost")

    def _end(self) -> None:
        self._stop.set()
        self.tick()

    def read(self) -> Numbers:
        """The numbers of this moment. From any thread."""
        with self._lock:
            numbers = self._numbers
            numbers.gauges.clear()
            numbers.gauge(PROCESSES, 1)
            self.requests.add_to(numbers)
            self._add_jobs(numbers)
            for pool in living_pools():
                self._add_pool(pool, numbers)
            self._add_sync_helpers(numbers)
            self._add_loops(numbers)
            if numbers.have_durations():
                self._has_served = self._is_worker = True
            if not self._is_worker:
                numbers.gauges.clear()
            return numbers.copy()

    def _add_jobs(self, numbers: Numbers) -> None:
        for name, (posted, started, ended) in take_job_times().items():
            if posted:
                numbers.observe(POOL_QUEUE_S, map(sub, started, posted), name)
                numbers.observe(POOL_THREAD_S, map(sub, ended, started), name)

    def _add_pool(self, pool: WorkerPool, numbers: Numbers) -> None:
        stats, name = pool.stats(), pool.name
        numbers.gauge(POOL_THREADS, stats.threads, name)
        numbers.gauge(POOL_IDLE, stats.idle, name)
        numbers.gauge(POOL_BUSY, stats.running, name)
        numbers.gauge(POOL_MOST, pool.max_threads, name)
        numbers.gauge(POOL_BACKLOG, stats.waiting, name)
        numbers.gauge(POOL_BACKLOG_MOST, pool.backlog, name)
        numbers.count(POOL_REFUSED, self._refused.of(pool, stats.refused), name)
        numbers.count(HAND_OVERS, self._thread_wakes.of(pool, pool.wakes), "thread")

    def _add_sync_helpers(self, numbers: Numbers) -> None:
        for limit in living_limits():
            stats = limit.stats()
            numbers.gauge(LIMIT_RUNNING, stats.running, limit.name)
            numbers.gauge(LIMIT_MOST, limit.n, limit.name)
            numbers.gauge(LIMIT_WAITING, stats.waiting, limit.name)
        numbers.gauge(SINGLE_THREAD_WAITING, queue_length(single_thread_executor()))

    def _add_loops(self, numbers: Numbers) -> None:
        for loop in known_loops():
            self._probes.watch(loop)
            wakes = self._loop_wakes.of(loop, inbox_of(loop).wakeups)
            numbers.count(HAND_OVERS, wakes, "loop")
        lags = self._probes.lags
        taken = lags[:]
        del lags[: len(taken)]
        numbers.observe(LOOP_LAG_S, taken)
        now = time.monotonic()
        probes = self._probes.running()
        numbers.gauge(LOOPS, len(probes))
        numbers.gauge(LOOP_LATE_S, max([0.0, *(now - each.due_at for each in probes)]))
        numbers.gauge(TASKS, sum(each.tasks for each in probes))
        apps = running_apps()
        numbers.gauge(REQUESTS_IN_PROGRESS, sum(app.unfollowed_requests() for app in apps))
        background = sum(app.background_tasks() for app in apps)
        numbers.gauge(BACKGROUND_TASKS, background)

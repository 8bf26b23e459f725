"""The deployment for a load: how many hosts, and how busy each worker is. Pure.

Three rules:

1. The load is spread evenly over the workers, and each worker is a queue of its own. A free thread
   of one worker does not help the requests that wait in another.
2. A worker has one interpreter, and so one CPU at most. A request that computes shares it with the
   other threads: at a utilisation of ``u``, computing takes ``1 / (1 - u)`` times as long
   (processor sharing, M/G/1-PS). The thread is held for that time, and for what the request waits.
3. The load has to be served while the spare hosts are down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bridge.cli.capacity.options import CapacityOptions
from bridge.cli.capacity.queueing import ThreadQueue, least, least_threads
from bridge.cli.options import UsageError

__all__ = ["STREAM_KB", "THREAD_KB", "WEBSOCKET_KB", "Deployment", "count_of", "deployment_for"]

THREAD_KB = 31.0
"""A worker thread, or an event stream with its thread: see docs/explanation/sizing.md."""
STREAM_KB = 8.0
"""An idle event stream on the event loop, with its connection."""
WEBSOCKET_KB = 28.0
"""An idle WebSocket on the event loop, of the largest of the measured codecs."""
MOST_THREADS = 200
"""Of a worker, unless ``--threads`` asks for more. More have not been measured."""
MOST_HOSTS = 10_000


@dataclass(frozen=True)
class Deployment:
    """Hosts that serve a load, while the spare ones are down.

    :ivar serving_hosts: the hosts without the spare ones.
    """

    options: CapacityOptions
    serving_hosts: int

    @property
    def hosts(self) -> int:
        return self.serving_hosts + self.options.spare_hosts

    @property
    def serving_workers(self) -> int:
        return self.serving_hosts * self.options.workers_per_host

    @property
    def workers(self) -> int:
        """Of all hosts."""
        return self.hosts * self.options.workers_per_host

    # -- one worker --------------------------------------------------------------------------------

    @property
    def requests_per_s(self) -> float:
        return self.options.requests_per_s / self.serving_workers

    @property
    def cpu(self) -> float:
        """The share of its CPU time that a worker uses; from 1 on it cannot serve the load."""
        requests = self.requests_per_s * self.options.service.cpu_s
        messages = self.options.messages_per_s / self.serving_workers * self.options.message_cpu_s
        return (requests + messages) / self.cpus_per_worker

    @property
    def cpus_per_worker(self) -> float:
        """At most 1: threads of one interpreter do not compute at once."""
        return min(1.0, self.options.cpus / self.options.workers_per_host)

    @property
    def held_s(self) -> float:
        """How long a request holds its thread while the worker is loaded."""
        if self.cpu >= 1:
            return math.inf
        service = self.options.service
        return service.waits_s + service.cpu_s / self.cpus_per_worker / (1 - self.cpu)

    @property
    def busy(self) -> float:
        """The threads that requests hold on average (Little's law)."""
        return self.requests_per_s * self.held_s

    @property
    def threads_of_streams(self) -> int:
        return math.ceil(self.options.streams_on_threads / self.serving_workers)

    @cached_property
    def threads(self) -> int:
        """Of a worker.

        :raises UsageError: no number of threads serves the load.
        """
        options, streams = self.options, self.threads_of_streams
        if options.threads is not None:
            return options.threads
        if self.cpu >= 1 or self.busy + streams >= MOST_THREADS:
            raise self._impossible(MOST_THREADS)
        return streams + least_threads(self.busy, options.utilisation, options.waiting_probability)

    @property
    def queue(self) -> ThreadQueue:
        """The threads that the streams leave.

        :raises UsageError: the queue would grow without an end.
        """
        free = self.threads - self.threads_of_streams
        if self.cpu >= 1 or self.busy >= free:
            raise self._impossible(self.threads)
        return ThreadQueue(free, self.requests_per_s, self.held_s, self.options.service.variation)

    @property
    def worker_mb(self) -> float:
        """Memory of a worker."""
        options, workers = self.options, self.serving_workers
        on_loop = options.streams - options.streams_on_threads
        websockets = min(options.websockets, on_loop)
        kb = self.threads * THREAD_KB
        kb += (websockets * WEBSOCKET_KB + (on_loop - websockets) * STREAM_KB) / workers
        return options.worker_mb + kb / 1024

    @property
    def host_mb(self) -> float:
        return self.worker_mb * self.options.workers_per_host

    # -- the targets -------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """What does not meet the targets.

        :raises UsageError: the load cannot be served at all.
        """
        options, queue, found = self.options, self.queue, list[str]()
        if _exceeds(self.cpu, options.utilisation):
            found.append(
                f"each worker computes for {self.cpu:.0%} of the time, more than --utilisation "
                f"{options.utilisation:g}"
            )
        if _exceeds(queue.utilisation, options.utilisation):
            found.append(
                f"the threads are busy for {queue.utilisation:.0%} of the time, more than "
                f"--utilisation {options.utilisation:g}"
            )
        if _exceeds(queue.waiting_probability, options.waiting_probability):
            found.append(
                f"{queue.waiting_probability:.1%} of the requests have to wait for a thread, more "
                f"than --waiting-probability {options.waiting_probability:g}"
            )
        if options.threads is None and self.threads > MOST_THREADS:
            found.append(
                f"each worker needs {self.threads} threads, and more than {MOST_THREADS} have not "
                "been measured: use more --workers or --hosts, or ask for them with --threads"
            )
        if options.host_mb is not None and self.host_mb > options.host_mb:
            found.append(
                f"the workers of a host need {self.host_mb:,.0f} MB, more than --host-mb "
                f"{options.host_mb:g}"
            )
        return found

    def refusal(self) -> str | None:
        """Why this deployment is too small; None if it meets the targets."""
        try:
            return "; ".join(self.problems()) or None
        except UsageError as error:
            return str(error)

    def _impossible(self, threads: int) -> UsageError:
        workers = count_of(self.serving_workers, "worker")
        load, streams = f"{self.options.requests_per_s:g} requests/s", self.threads_of_streams
        if self.cpu >= 1:
            return UsageError(
                f"{workers} cannot serve {load}: each would have to compute for {self.cpu:.0%} of "
                "the time. Use more --hosts"
            )
        if threads <= streams:
            return UsageError(
                f"{workers} with {threads} threads: the streams hold {streams} threads in each, "
                "which leaves none for requests. Use more --threads or --hosts"
            )
        return UsageError(
            f"{workers} with {threads - streams} threads for requests cannot serve {load}: "
            f"{self.busy:.1f} threads would be busy in each. Use more --threads or --hosts"
        )


def count_of(number: int, what: str) -> str:
    """``1 host``, ``1,000 hosts``"""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _exceeds(value: float, limit: float) -> bool:
    return value > limit * (1 + 1e-9)


def deployment_for(options: CapacityOptions) -> Deployment:
    """The given hosts, or the fewest that meet the targets.

    :raises UsageError: the given hosts cannot serve the load, or no number of hosts meets the
        targets.
    """
    if options.hosts is not None:
        given = Deployment(options, options.hosts - options.spare_hosts)
        given.problems()
        return given
    problem = Deployment(options, MOST_HOSTS).refusal()
    if problem is not None:
        raise UsageError(f"not even {MOST_HOSTS:,} hosts meet the targets: {problem}")
    return Deployment(options, least(1, lambda hosts: Deployment(options, hosts).refusal() is None))

"""The options of ``bridge plan-capacity``, checked. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from bridge.cli.options import UsageError

__all__ = ["CapacityOptions", "Service"]

MOST_AT_ONCE = 10_000_000
"""Requests. Erlang C takes a step for each."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a request does while it holds a thread.

    :ivar mean_s: how long it holds the thread while nothing else runs.
    :ivar waiting_share: the part of that time in which it waits, for a database or another service,
        and uses no CPU: from 0 to 1.
    :ivar variation: the standard deviation of that time, divided by its mean.
    """

    mean_s: float
    waiting_share: float
    variation: float = 1.0

    @property
    def waits_s(self) -> float:
        return self.mean_s * self.waiting_share

    @property
    def cpu_s(self) -> float:
        return self.mean_s - self.waits_s


@dataclass(frozen=True, kw_only=True)
class CapacityOptions:
    """The load, the machines and the targets. Numbers are of the whole site unless noted.

    :ivar websockets: open at once, as :ivar:`event_streams`.
    :ivar streams_on_threads: how many of both hold a thread each.
    :ivar group_messages_per_s: messages to a group of WebSockets, of ``group_size`` each.
    :ivar message_cpu_s: CPU time of one message to one WebSocket.
    :ivar threads: of each worker; None to find the number.
    :ivar workers: of each host; None for one per CPU.
    :ivar hosts: all of them, the spare ones included; None to find the number.
    :ivar spare_hosts: how many may fail at the peak.
    :ivar host_mb: memory of a host for the workers; None: no bound.
    :ivar utilisation: the highest share of the time for which threads and CPUs are busy.
    :ivar waiting_probability: the highest share of the requests that have to wait for a thread.
    :ivar transaction_s: how long a request holds a database transaction; None for as long as it
        waits.
    :ivar keep_alive_s: how long the server keeps a connection without a request.
    :raises UsageError: no deployment can have these numbers.
    """

    requests_per_s: float
    service: Service
    websockets: int = 0
    event_streams: int = 0
    streams_on_threads: int = 0
    group_messages_per_s: float = 0.0
    group_size: int = 0
    message_cpu_s: float = 40e-6
    threads: int | None = None
    workers: int | None = None
    hosts: int | None = None
    spare_hosts: int = 1
    cpus: int = 4
    host_mb: float | None = None
    worker_mb: float = 100.0
    utilisation: float = 0.7
    waiting_probability: float = 0.05
    transaction_s: float | None = None
    keep_alive_s: float = 5.0

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_streams()
        if self.hosts is not None and self.hosts <= self.spare_hosts:
            raise UsageError(
                f"--hosts {self.hosts} --spare-hosts {self.spare_hosts}: no host is left to serve. "
                f"Use more hosts, or --spare-hosts {self.hosts - 1}"
            )
        least_mb = self.workers_per_host * self.worker_mb
        if self.host_mb is not None and least_mb >= self.host_mb:
            raise UsageError(
                f"--host-mb {self.host_mb:g}: {self.workers_per_host} workers of "
                f"{self.worker_mb:g} MB need {least_mb:g} MB before the first request. Use fewer "
                "--workers"
            )

    def _check_numbers(self) -> None:
        for option, value in self._above_zero.items():
            if not 0 < value < math.inf:
                raise UsageError(f"{option} takes a number greater than 0, not {value:g}")
        for option, value in self._shares.items():
            if not 0 < value < 1:
                raise UsageError(f"{option} takes a number between 0 and 1, not {value:g}")
        at_once = self.requests_per_s * self.service.mean_s
        if at_once > MOST_AT_ONCE:
            raise UsageError(
                f"--requests-per-s {self.requests_per_s:g} x --service-s {self.service.mean_s:g} "
                f"are {at_once:,.0f} requests at once, and the most to plan is {MOST_AT_ONCE:,}"
            )
        if not 0 <= self.service.waiting_share <= 1:
            raise UsageError(
                "--waiting-share takes a number from 0 (the app only computes) to 1 (it only "
                f"waits), not {self.service.waiting_share:g}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and (value < 0 or math.isinf(value)):
                option = f"--{field.name.replace('_', '-')}"
                raise UsageError(f"{option} takes a finite number of 0 or more, not {value:g}")
        if self.transaction_s is not None and self.transaction_s > self.service.mean_s:
            raise UsageError(
                f"--transaction-s {self.transaction_s:g}: a transaction ends with its request, "
                f"which takes {self.service.mean_s:g} s"
            )

    @property
    def _above_zero(self) -> dict[str, float]:
        return {
            "--requests-per-s": self.requests_per_s,
            "--service-s": self.service.mean_s,
            "--worker-mb": self.worker_mb,
        }

    @property
    def _shares(self) -> dict[str, float]:
        return {
            "--utilisation": self.utilisation,
            "--waiting-probability": self.waiting_probability,
        }

    def _check_streams(self) -> None:
        if self.streams_on_threads > self.streams:
            raise UsageError(
                f"--streams-on-threads {self.streams_on_threads}: there are only {self.streams} "
                "WebSockets and event streams (--websockets, --event-streams)"
            )
        if (self.group_size > 0) != (self.group_messages_per_s > 0):
            raise UsageError("--group-messages-per-s and --group-size need each other")
        if self.group_size > self.streams:
            raise UsageError(
                f"--group-size {self.group_size}: there are only {self.streams} WebSockets and "
                "event streams (--websockets, --event-streams)"
            )

    @property
    def streams(self) -> int:
        """WebSockets and event streams."""
        return self.websockets + self.event_streams

    @property
    def workers_per_host(self) -> int:
        return self.cpus if self.workers is None else self.workers

    @property
    def messages_per_s(self) -> float:
        """To all WebSockets: a message to a group is one to each of its members."""
        return self.group_messages_per_s * self.group_size

    @property
    def held_transaction_s(self) -> float:
        return self.service.waits_s if self.transaction_s is None else self.transaction_s

"""How many jobs have started, ended and been refused, and how long they have waited. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.types import PoolStats

__all__ = ["Counts"]


class Counts:
    """Counts of one thread, or of a whole pool. Each has one writer at a time."""

    __slots__ = ("completed", "refused", "started", "wait_max_s", "wait_total_s")

    def __init__(self) -> None:
        self.completed = 0
        self.refused = 0
        self.started = 0
        self.wait_total_s = 0.0
        self.wait_max_s = 0.0

    @property
    def running(self) -> int:
        """Jobs that have started and not ended."""
        return self.started - self.completed

    @classmethod
    def total(cls, meters: Iterable[Counts]) -> Counts:
        """The sum of several."""
        total = cls()
        for meter in meters:
            total.add(meter)
        return total

    def add(self, other: Counts) -> None:
        self.completed += other.completed
        self.refused += other.refused
        self.started += other.started
        self.wait_total_s += other.wait_total_s
        self.wait_max_s = max(self.wait_max_s, other.wait_max_s)

    def stats(
        self,
        *,
        threads: int,
        idle: int,
        waiting: int,
        max_threads: int | None,
        loop_lag_s: float | None = None,
        lost: int = 0,
    ) -> PoolStats:
        """These counts with the rest of what a pool knows."""
        return PoolStats(
            threads=threads,
            idle=idle,
            running=self.running,
            waiting=waiting,
            completed=self.completed,
            refused=self.refused,
            wait_total_s=self.wait_total_s,
            wait_max_s=self.wait_max_s,
            lost=lost,
            max_threads=max_threads,
            loop_lag_s=loop_lag_s,
        )

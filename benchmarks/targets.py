"""Targets: a limit for the ratio of two contenders, or for a metric of one.

Input: measured contenders. Output: a :class:`Verdict` for each target.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.side_by_side import Contender, round_ratios

__all__ = ["Target", "Verdict"]


@dataclass(frozen=True)
class Target:
    """One line of the table.

    :ivar against: the contender that ``base`` is divided by, round by round, or a number that each
        round is divided by; None for the metric itself.
    :ivar limit: for the median.
    :ivar at_most: whether the limit is an upper one.
    :ivar label: what ``base`` is compared with, if not the name of a contender.
    """

    against: str | float | None
    limit: float
    metric: str = "rate"
    base: str = "bridge"
    at_most: bool = False
    label: str = ""

    def judge(self, contenders: Sequence[Contender]) -> Verdict | None:
        """Return the verdict; None if one of the two was not measured."""
        by_name = {each.name: each for each in contenders if each.samples}
        base = by_name.get(self.base)
        if base is None or (isinstance(self.against, str) and self.against not in by_name):
            return None
        values = self._values(base, by_name)
        return Verdict(self, values, statistics.median(values)) if values else None

    def _values(self, base: Contender, by_name: dict[str, Contender]) -> list[float]:
        if isinstance(self.against, str):
            return round_ratios(base, by_name[self.against], self.metric)
        divisor = 1.0 if self.against is None else self.against
        return [value / divisor for value in base.values(self.metric)]

    @property
    def requirement(self) -> str:
        """Such as ``at least 4.5``."""
        return f"at {'most' if self.at_most else 'least'} {self.limit:g}"

    @property
    def against_label(self) -> str:
        """What ``base`` is compared with, for the table."""
        return self.label or str(self.against)


@dataclass(frozen=True)
class Verdict:
    """The value of each round, and their median."""

    target: Target
    values: list[float]
    reached: float

    @property
    def is_reached(self) -> bool:
        if self.target.at_most:
            return self.reached <= self.target.limit
        return self.reached >= self.target.limit

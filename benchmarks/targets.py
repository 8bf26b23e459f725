"""What is to be reached: a ratio to another contender, or a number of one's own.

What enters: measured contenders. What leaves: for each target a :class:`Verdict`, a line of the
table "To reach".
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.side_by_side import Contender, pairs

__all__ = ["Target", "Verdict"]


@dataclass(frozen=True)
class Target:
    """One line of the table.

    :ivar against: the contender that ``base`` is divided by, round by round; a number instead is
        what each round is divided by; None compares the metric itself.
    :ivar limit: of the median.
    :ivar at_most: the limit is an upper one.
    """

    against: str | float | None
    limit: float
    metric: str = "rate"
    base: str = "bridge"
    at_most: bool = False
    words: str = ""

    def judge(self, contenders: Sequence[Contender]) -> Verdict | None:
        """The verdict; None if one of the two was not measured."""
        by_name = {each.name: each for each in contenders if each.samples}
        base = by_name.get(self.base)
        if base is None or (isinstance(self.against, str) and self.against not in by_name):
            return None
        values = self._values(base, by_name)
        return Verdict(self, values, statistics.median(values)) if values else None

    def _values(self, base: Contender, by_name: dict[str, Contender]) -> list[float]:
        if isinstance(self.against, str):
            return pairs(base, by_name[self.against], self.metric)
        divisor = 1.0 if self.against is None else self.against
        return [value / divisor for value in base.values(self.metric)]

    @property
    def asked(self) -> str:
        """Such as ``at least 4.5``."""
        return f"at {'most' if self.at_most else 'least'} {self.limit:g}"

    @property
    def told(self) -> str:
        """What is compared, in words."""
        return self.words or str(self.against)


@dataclass(frozen=True)
class Verdict:
    """How it went: the value of each round, and their median."""

    target: Target
    values: list[float]
    reached: float

    @property
    def is_reached(self) -> bool:
        if self.target.at_most:
            return self.reached <= self.target.limit
        return self.reached >= self.target.limit

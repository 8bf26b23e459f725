"""The numbers of all metrics at one moment. Pure.

A :class:`Histogram` counts many durations without a bytecode instruction for each: what was
recorded in a second is sorted, in C, and the bounds of the buckets are looked up in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from bridge.metrics.catalogue import Metric

__all__ = ["Histogram", "Numbers"]

Labels = tuple[str, ...]
"""The values of a metric's labels, in their order."""


class Histogram:
    """How many durations there were up to each bound, and their sum.

    :ivar counts: of each bucket alone, the one without a bound last.
    """

    __slots__ = ("_bounds", "counts", "sum_s")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def copy(self) -> Histogram:
        """This histogram, which changes no more."""
        copy = Histogram(self._bounds)
        copy.counts, copy.sum_s = self.counts[:], self.sum_s
        return copy

    def add(self, durations_s: Iterable[float]) -> None:
        """Count durations, in seconds."""
        ordered = sorted(durations_s)
        self.sum_s += sum(ordered)
        below = 0
        for bucket, bound in enumerate(self._bounds):
            up_to = bisect_right(ordered, bound)
            self.counts[bucket] += up_to - below
            below = up_to
        self.counts[-1] += len(ordered) - below


class Numbers:
    """Counters and histograms that only grow, and gauges of this moment.

    :ivar counters: by metric and labels.
    :ivar histograms: likewise.
    :ivar gauges: likewise; replaced each time.
    """

    def __init__(self) -> None:
        self.counters: defaultdict[tuple[Metric, Labels], float] = defaultdict(float)
        self.histograms: dict[tuple[Metric, Labels], Histogram] = {}
        self.gauges: defaultdict[tuple[Metric, Labels], float] = defaultdict(float)

    def copy(self) -> Numbers:
        """These numbers, which change no more."""
        copy = Numbers()
        copy.counters.update(self.counters)
        copy.gauges.update(self.gauges)
        copy.histograms = {key: each.copy() for key, each in self.histograms.items()}
        return copy

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a counter."""
        self.counters[metric, labels] += amount

    def observe(self, metric: Metric, durations_s: Iterable[float], *labels: str) -> None:
        """Add durations to a histogram."""
        key = metric, labels
        histogram = self.histograms.get(key)
        if histogram is None:
            histogram = self.histograms[key] = Histogram(metric.bounds)
        histogram.add(durations_s)

    def have_durations(self) -> bool:
        """Whether any duration was ever added."""
        return any(histogram.sum_s for histogram in self.histograms.values())

    def gauge(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a gauge of this moment."""
        self.gauges[metric, labels] += amount

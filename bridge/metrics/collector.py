"""The numbers as metric families of prometheus-client: for a process that is scraped itself.

Input: :class:`~bridge.metrics.numbers.Numbers`. Output: what a registry collects. Runs on the
thread of the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from bridge.metrics.catalogue import CATALOGUE, Kind, Metric
from bridge.metrics.numbers import Numbers

__all__ = ["NumbersCollector", "family_name"]

_FAMILIES: dict[Kind, type[Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def family_name(metric: Metric) -> str:
    """The name that its samples begin with."""
    return metric.name.removesuffix("_total")


class NumbersCollector(Collector):
    """All metrics of this process.

    :param read: returns the numbers of this moment.
    """

    def __init__(self, read: Callable[[], Numbers]) -> None:
        self._read = read

    def describe(self) -> Iterable[Family]:
        """Names and kinds, without samples: for a registry that checks for duplicates."""
        return [_family(metric) for metric in CATALOGUE.values()]

    def collect(self) -> Iterable[Family]:
        """The families, with samples."""
        numbers = self._read()
        families = {metric: _family(metric) for metric in CATALOGUE.values()}
        for (metric, labels), value in [*numbers.counters.items(), *numbers.gauges.items()]:
            families[metric].add_metric(labels, value)
        for (metric, labels), histogram in numbers.histograms.items():
            bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
            families[metric].add_metric(labels, buckets, histogram.sum_s)
        return families.values()


def _family(metric: Metric) -> Any:
    """What it is filled with depends on the kind."""
    made: Any = _FAMILIES[metric.kind]
    return made(family_name(metric), metric.help, labels=metric.labels)

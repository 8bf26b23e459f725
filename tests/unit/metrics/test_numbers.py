"""Histograms, counters and gauges."""

from __future__ import annotations

from bridge.metrics.catalogue import LOOP_LAG_S, POOL_BACKLOG, POOL_REFUSED
from bridge.metrics.growth import Growth
from bridge.metrics.numbers import Histogram, Numbers


def test_a_duration_counts_in_the_bucket_of_the_first_bound_that_is_not_below_it() -> None:
    histogram = Histogram((0.1, 1.0))

    histogram.add([0.0, 0.1, 0.11, 1.0, 1.01, 60.0])

    assert histogram.counts == [2, 2, 2]
    assert histogram.sum_s == 62.22


def test_durations_of_several_calls_add_up() -> None:
    numbers = Numbers()

    numbers.observe(LOOP_LAG_S, [0.0001])
    numbers.observe(LOOP_LAG_S, iter([100.0]))

    [histogram] = numbers.histograms.values()
    assert (histogram.counts[0], histogram.counts[-1], sum(histogram.counts)) == (1, 1, 2)


def test_a_copy_does_not_change() -> None:
    numbers = Numbers()
    numbers.observe(LOOP_LAG_S, [1.0])
    numbers.count(POOL_REFUSED, 1, "a")

    copy = numbers.copy()
    numbers.observe(LOOP_LAG_S, [1.0])
    numbers.count(POOL_REFUSED, 1, "a")
    numbers.gauge(POOL_BACKLOG, 3, "a")

    assert sum(copy.histograms[LOOP_LAG_S, ()].counts) == 1
    assert copy.counters == {(POOL_REFUSED, ("a",)): 1}
    assert not copy.gauges


def test_pools_of_one_name_are_one_gauge() -> None:
    numbers = Numbers()

    numbers.gauge(POOL_BACKLOG, 3, "a")
    numbers.gauge(POOL_BACKLOG, 4, "a")

    assert numbers.gauges == {(POOL_BACKLOG, ("a",)): 7}


class Counted:
    """Something that counts by itself."""


def test_only_what_a_count_has_grown_by_is_added() -> None:
    growth: Growth[Counted] = Growth()
    one, other = Counted(), Counted()

    assert [growth.of(one, 3), growth.of(one, 3), growth.of(one, 5)] == [3, 0, 2]
    assert growth.of(other, 4) == 4


def test_a_count_that_began_again_has_grown_by_all_of_it() -> None:
    growth: Growth[Counted] = Growth()
    one = Counted()
    growth.of(one, 10)

    assert growth.of(one, 2) == 2

"""Little's law and Erlang C: how many threads are busy, and how long a request waits for one. Pure.

A worker is one queue before ``threads`` threads. Requests arrive independently of each other
(Poisson). With service times that vary exponentially this is M/M/n, and the results are exact;
other variations are the usual approximation of M/G/n (Allen and Cunneen), which is exact for one
thread (Pollaczek and Khinchine).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ThreadQueue", "erlang_c", "least", "least_threads"]


def erlang_c(threads: int, busy: float) -> float:
    """The probability that an arriving request finds all threads busy, and has to wait.

    :param busy: the threads that are busy on average: arrivals per second x service time.
    :returns: from 0 to 1. It is 1 if ``busy`` is not less than ``threads``: the queue then grows
        without an end.
    """
    if busy >= threads:
        return 1.0
    blocking = 1.0  # Erlang B, by its recursion, which neither overflows nor underflows
    for count in range(1, threads + 1):
        blocking = busy * blocking / (count + busy * blocking)
    return blocking / (1 - busy / threads * (1 - blocking))


@dataclass(frozen=True)
class ThreadQueue:
    """The queue of one worker, in a steady state.

    :ivar arrivals_per_s: requests.
    :ivar service_s: the mean time for which a request holds a thread.
    :ivar variation: the standard deviation of that time, divided by its mean. 0: always the same
        time; 1: as of an exponential distribution.
    """

    threads: int
    arrivals_per_s: float
    service_s: float
    variation: float = 1.0

    @property
    def busy(self) -> float:
        """The threads that are busy on average (Little's law)."""
        return self.arrivals_per_s * self.service_s

    @property
    def utilisation(self) -> float:
        """The share of the time for which a thread is busy."""
        return self.busy / self.threads

    @property
    def waiting_probability(self) -> float:
        return erlang_c(self.threads, self.busy)

    @property
    def mean_wait_s(self) -> float:
        """Of all requests, those that do not wait included; infinite if too many arrive."""
        if self.busy >= self.threads:
            return math.inf
        return self.waiting_probability * self._mean_wait_of_those_that_wait_s

    @property
    def waiting(self) -> float:
        """The requests that wait on average (Little's law)."""
        return self.arrivals_per_s * self.mean_wait_s

    def wait_s(self, share: float) -> float:
        """The wait that this share of the requests does not exceed: 0.99 for the p99."""
        if self.busy >= self.threads:
            return math.inf
        probability = self.waiting_probability
        if probability <= 1 - share:
            return 0.0
        return self._mean_wait_of_those_that_wait_s * math.log(probability / (1 - share))

    @property
    def _mean_wait_of_those_that_wait_s(self) -> float:
        exponential_s = self.service_s / (self.threads - self.busy)
        return exponential_s * (1 + self.variation**2) / 2


def least_threads(busy: float, utilisation: float, waiting_probability: float) -> int:
    """The fewest threads that are busy for at most ``utilisation`` of the time, and for which at
    most ``waiting_probability`` of the requests have to wait.
    """
    start = max(1, math.ceil(busy / utilisation - 1e-9))
    return least(start, lambda threads: erlang_c(threads, busy) <= waiting_probability)


def least(start: int, fits: Callable[[int], bool]) -> int:
    """The lowest number from ``start`` on that fits, if each above it fits as well."""
    step = 1
    while not fits(start + step - 1):
        step *= 2
    low, high = start + step // 2 - (step > 1), start + step - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return high

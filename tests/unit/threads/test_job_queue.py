"""Which requests wait, go first, are late or refused: simulated, with a clock that the test owns.

:class:`Site` is a pool of threads, and clients that leave after their patience. What a queue cannot
know, that a client has left before :class:`~bridge._threads.reminder.Reminder` has noticed, it does
not know here either.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge._threads.job import Job
from bridge._threads.job_queue import JobQueue
from bridge._threads.reminder import REMIND_S

NOTICE_S = REMIND_S + 0.1
"""How long after it was posted a job may learn that its client has left."""
LOAD_S = 10.0

Service = Callable[[], float]
"""Returns how long the next request takes on its thread, in seconds."""


class Request(Job):
    """A request of a client that leaves at ``leaves_at``.

    :ivar outcome: ``useful``: answered in time; ``useless``: answered too late; ``refused``;
        ``left``: the client has left, and no thread was used.
    """

    def __init__(self, site: Site, leaves_at: float, *, is_request: bool = True) -> None:
        self.site = site
        self.posted_at = site.now
        self.leaves_at = leaves_at
        self.is_request = is_request
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.outcome = ""

    def is_pending(self) -> bool:
        return self.site.now < max(self.leaves_at, self.posted_at + NOTICE_S)

    def end(self, outcome: str) -> None:
        assert not self.outcome, "a job ends once"
        self.outcome, self.ended_at = outcome, self.site.now


class Site:
    """Threads that run the jobs of a queue. Nothing here takes real time."""

    def __init__(
        self, threads: int, service: Service, *, backlog: int = 2048, target_s: float | None = 0.1
    ) -> None:
        self.now = 0.0
        self.requests: list[Request] = []
        self.queue = JobQueue(backlog, target_s)
        self._threads = threads
        self._service = service
        self._busy = self._completed = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = count()

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        heappush(self._events, (when, next(self._sequence), call, args))

    def run(self, until: float = float("inf")) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, call, args = heappop(self._events)
            call(*args)

    def request(self, patience_s: float, *, is_request: bool = True, wakes: bool = True) -> None:
        """A client sends one. The queue is used as the pools use it.

        :param wakes: whether a thread may take it at once.
        """
        job = Request(self, self.now + patience_s, is_request=is_request)
        self.requests.append(job)
        queue, dropped = self.queue, list[Job]()
        is_full = len(queue) >= queue.backlog and not queue.is_overloaded
        if not queue.first and not queue.is_overloaded:
            queue.first.append(job)
        elif is_full or not queue.admit(job, self._progress, dropped):
            job.end("refused")
        for each in dropped:
            assert isinstance(each, Request)
            each.end("refused" if each.is_pending() else "left")
        if wakes:
            self._start()

    def load(self, multiple: float, start: float, end: float, patience_s: float) -> None:
        """Requests at random times, at a multiple of what the threads can serve."""
        chance = random.Random(7)
        rate = multiple * self._threads / self._service()
        while (start := start + chance.expovariate(rate)) < end:
            self.at(start, self.request, patience_s)

    def outcomes(self, since: float = 0.0) -> Counter[str]:
        return Counter(each.outcome for each in self.requests if each.posted_at >= since)

    def _progress(self) -> tuple[int, int]:
        return self._completed, self._busy

    def _start(self) -> None:
        while self._busy < self._threads and (job := self.queue.take()) is not None:
            assert isinstance(job, Request)
            if job.is_pending():
                self._busy += 1
                job.started_at = self.now
                self.at(self.now + self._service(), self._end, job)
            else:
                job.end("left")
                self._completed += 1

    def _end(self, job: Request) -> None:
        self._busy -= 1
        self._completed += 1
        job.end("useful" if self.now <= job.leaves_at else "useless")
        self._start()


POOLS = [(40, 0.2), (10, 0.05), (4, 0.02), (1, 0.005)]
"""Threads, and how long a request takes: all serve 200 requests per second."""


def constant(seconds: float) -> Service:
    return lambda: seconds


# -- overload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiple", [2, 3, 5, 10])
@pytest.mark.parametrize("patience_s", [0.5, 1, 5])
@pytest.mark.parametrize(("threads", "service_s"), POOLS)
def test_an_overload_leaves_nine_tenths_of_the_capacity_useful(
    threads: int, service_s: float, patience_s: float, multiple: float
) -> None:
    site = Site(threads, constant(service_s))
    site.load(multiple, 0, LOAD_S, patience_s)
    site.run(LOAD_S)

    assert site.outcomes()["useful"] >= 0.9 * LOAD_S * threads / service_s


@pytest.mark.parametrize("patience_s", [0.5, 1])
def test_without_a_target_an_overload_serves_those_who_leave(patience_s: float) -> None:
    """What the other tests are about."""
    site = Site(40, constant(0.2), target_s=None)
    site.load(2, 0, LOAD_S, patience_s)
    site.run(LOAD_S)

    assert site.outcomes()["useful"] < 0.2 * LOAD_S * 200


@pytest.mark.parametrize("multiple", [2, 10])
def test_times_that_differ_do_not_matter(multiple: float) -> None:
    chance = random.Random(1)
    site = Site(10, lambda: chance.expovariate(20))
    site.load(multiple, 0, LOAD_S, 1)
    site.run(LOAD_S)

    assert site.outcomes()["useful"] >= 0.9 * LOAD_S * 200


@pytest.mark.parametrize("patience_s", [0.5, 1, 5])
def test_refusals_come_without_a_wait(patience_s: float) -> None:
    """Only those who came before the overload was known may wait before they are refused."""
    site = Site(40, constant(0.2))
    site.load(5, 0, 20, patience_s)
    site.run(20)
    waits = sorted(
        (each.ended_at or 0) - each.posted_at for each in site.requests if each.outcome == "refused"
    )

    assert waits[len(waits) * 3 // 4] == 0
    assert waits[-1] < 5.2


@pytest.mark.parametrize("multiple", [2, 10])
def test_all_is_normal_as_soon_as_the_overload_is_over(multiple: float) -> None:
    site = Site(40, constant(0.2))
    site.load(multiple, 0, 5, 1)
    site.load(0.8, 5.2, 15, 1)
    site.run()

    assert site.outcomes(since=5.2).keys() == {"useful"}
    assert not site.queue.is_overloaded or not site.queue.late


# -- bursts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threads", "service_s"), POOLS[:4])
@pytest.mark.parametrize(("requests", "patience_s"), [(60, 0.5), (150, 1), (190, 1.2), (900, 5)])
def test_a_burst_that_can_be_served_in_time_is(
    threads: int, service_s: float, requests: int, patience_s: float
) -> None:
    site = Site(threads, constant(service_s))
    for number in range(requests):
        site.at(number / 100_000, site.request, patience_s)
    site.run()

    assert site.outcomes() == {"useful": requests}


@pytest.mark.parametrize(
    ("multiple", "seconds", "patience_s"), [(2, 0.8, 1), (2, 4, 5), (5, 0.2, 1), (5, 1.1, 5)]
)
def test_a_burst_of_some_length_is_served_too(
    multiple: float, seconds: float, patience_s: float
) -> None:
    site = Site(10, constant(0.05))
    site.load(multiple, 1, 1 + seconds, patience_s)
    site.load(0.1, 0, 10, patience_s)
    site.run()

    assert site.outcomes().keys() == {"useful"}


def test_bursts_that_follow_each_other_are_served() -> None:
    site = Site(40, constant(0.2))
    for second in range(20):
        for number in range(150):
            site.at(second + number / 100_000, site.request, 1)
    site.run()

    assert site.outcomes() == {"useful": 3000}


@pytest.mark.parametrize(("load", "patience_s"), [(0.8, 0.5), (0.9, 1), (0.95, 5)])
def test_a_load_below_the_capacity_is_served(load: float, patience_s: float) -> None:
    site = Site(40, constant(0.2))
    site.load(load, 0, 60, patience_s)
    site.run()

    assert site.outcomes().keys() == {"useful"}


def test_slow_pages_may_wait_for_as_long_as_they_take() -> None:
    """Four at a time, of ten seconds each: a wait of 0.1 s is nothing to their users."""
    site = Site(4, constant(10))
    site.load(0.8, 0, 3000, 60)
    site.run()

    assert site.outcomes().keys() == {"useful"}


# -- one rule at a time ----------------------------------------------------------------------------


def overloaded(**options: Any) -> Site:
    """One thread that takes 50 ms, at the moment at which twice as many are an overload: clients
    that wait for 0.8 s leave. The others would wait for ever.
    """
    site = Site(1, constant(0.05), **options)
    for number in range(200):
        site.run(number * 0.025)
        site.now = number * 0.025
        site.request(0.8 if number % 2 else 1000)
        if site.queue.is_overloaded:
            break
    assert 1.5 < site.now < 2
    assert len(site.queue.late) > 20
    return site


def test_nobody_is_refused_before_a_client_has_waited_in_vain() -> None:
    site = Site(1, constant(0.05))
    site.load(2, 0, 7, 1000)
    site.run(7)

    assert not site.queue.is_overloaded
    assert site.outcomes().keys() == {"useful", ""}
    started = [each.started_at for each in site.requests if each.started_at is not None]
    assert started == sorted(started)


def test_one_who_leaves_a_burst_changes_nothing() -> None:
    site = Site(1, constant(0.05))
    for number in range(20):
        site.request(0.1 if number == 10 else 1000)
    site.load(0.2, 0, 20, 1000)
    site.run()

    assert site.outcomes() == {"useful": len(site.requests) - 1, "left": 1}
    assert not site.queue.is_overloaded


def test_clients_who_never_leave_wait_for_a_bounded_time() -> None:
    site = Site(10, constant(0.05))
    site.load(3, 0, 30, 1000)
    site.run(30)
    waits = [
        (each.started_at or each.ended_at or site.now) - each.posted_at for each in site.requests
    ]

    assert max(waits) < 6
    later = [each for each in site.requests if each.posted_at > 10]
    assert Counter(each.outcome for each in later)["useful"] >= 0.98 * 20 * 200
    assert max(each.started_at - each.posted_at for each in later if each.started_at) < 0.15


def test_new_requests_go_first() -> None:
    site = overloaded()
    late = list(site.queue.late)
    newest = site.requests[-1]
    site.run(site.now + 0.06)

    assert newest.started_at is not None
    assert list(site.queue.late) == late


def test_late_ones_are_served_when_there_are_no_others() -> None:
    site = overloaded()
    late = list(site.queue.late)
    site.run()

    assert [each.outcome for each in site.requests if each in late and each.leaves_at > 100] == [
        "useful"
    ] * sum(1 for each in late if isinstance(each, Request) and each.leaves_at > 100)


def test_threads_that_are_idle_are_places_too() -> None:
    """The requests of one turn of the event loop are posted before a thread is woken."""
    site = Site(40, constant(0.2))
    site.load(5, 0, 3, 1)
    site.run(3.4)
    assert site.queue.is_overloaded
    assert (len(site.queue), site.now < 3.4) == (0, True)
    site.now = 3.4
    for _ in range(50):
        site.request(1, wakes=False)

    assert len(site.queue) == 50


def test_the_overload_ends_when_nobody_is_late() -> None:
    site = overloaded()
    site.run()
    site.now += 1
    site.request(1000)
    assert not site.queue.is_overloaded


def test_calls_of_running_code_are_never_refused_and_go_first() -> None:
    site = overloaded()
    for _ in range(100):
        site.request(1000, is_request=False)
    late = [each for each in site.queue.late if isinstance(each, Request)]
    site.run()

    calls = [each for each in site.requests if not each.is_request]
    assert Counter(each.outcome for each in calls) == {"useful": 100}
    started = [each.started_at for each in late if each.started_at is not None]
    assert max(each.started_at or 0 for each in calls) < min(started)


def test_the_oldest_late_ones_make_room_when_the_backlog_is_full() -> None:
    site = overloaded(backlog=30)
    oldest = site.queue.late[0]
    assert isinstance(oldest, Request)
    while len(site.queue) < 30:
        site.request(1000, is_request=False)
    site.request(1000, is_request=False)

    assert oldest.outcome in {"refused", "left"}
    assert site.requests[-1] in site.queue.first
    assert len(site.queue) == 30


def test_a_client_that_leaves_uses_no_thread() -> None:
    site = Site(1, constant(1))
    site.request(1000)
    for _ in range(5):
        site.request(0.6)
    site.run()

    assert site.outcomes() == {"useful": 1, "left": 5}


# -- whatever comes --------------------------------------------------------------------------------

arrivals = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.02, 0.3, 3.0]),  # after the last one
        st.sampled_from([0.0, 0.5, 5.0, 1000.0]),  # patience
        st.booleans(),
    ),
    max_size=200,
)


@given(
    arrivals=arrivals,
    threads=st.integers(1, 4),
    service_s=st.sampled_from([0.0, 0.01, 0.2, 2.0]),
    backlog=st.sampled_from([1, 5, 2048]),
    target_s=st.sampled_from([None, 0.001, 0.1]),
)
def test_every_job_ends_once_and_the_queue_is_bounded(
    arrivals: list[tuple[float, float, bool]],
    threads: int,
    service_s: float,
    backlog: int,
    target_s: float | None,
) -> None:
    site = Site(threads, constant(service_s), backlog=backlog, target_s=target_s)
    when, lengths = 0.0, list[int]()
    for gap, patience_s, is_request in arrivals:
        when += gap
        site.at(when, lambda p=patience_s, r=is_request: site.request(p, is_request=r))
        site.at(when, lambda: lengths.append(len(site.queue)))
    site.run()

    assert all(each.outcome for each in site.requests)  # Request.end() raises at the second
    assert max(lengths, default=0) <= backlog
    assert not len(site.queue)
    if target_s is None:
        started = [each for each in site.requests if each.started_at is not None]
        assert started == sorted(started, key=lambda each: each.started_at or 0)

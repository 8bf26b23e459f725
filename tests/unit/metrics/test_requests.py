"""What the records of requests become in the metrics."""

from __future__ import annotations

from typing import Literal

from bridge._observe.record import RequestRecord
from bridge.metrics.catalogue import (
    DISCONNECTS,
    ERRORS,
    REQUEST_QUEUE_S,
    REQUEST_S,
    REQUEST_WIRE_S,
    REQUESTS,
    REQUESTS_IN_PROGRESS,
    WEBSOCKETS,
    WEBSOCKETS_OPEN,
)
from bridge.metrics.numbers import Numbers
from bridge.metrics.requests import MOST_ERRORS, RequestCounter


def record(kind: Literal["http", "websocket"] = "http", status: int | None = 200) -> RequestRecord:
    made = RequestRecord(kind, method="GET", path="/", client=None)
    made.status = status
    made.total_s = 3.0
    return made


def numbers_of(counter: RequestCounter) -> Numbers:
    numbers = Numbers()
    counter.add_to(numbers)
    return numbers


def ended(*records: RequestRecord) -> Numbers:
    counter = RequestCounter()
    for each in records:
        counter.started(each)
        counter.ended(each)
    return numbers_of(counter)


def test_what_has_started_and_not_ended_is_in_progress() -> None:
    counter = RequestCounter()
    first, second, websocket = record(), record(), record("websocket")
    for each in (first, second, websocket):
        counter.started(each)
    counter.ended(first)

    numbers = numbers_of(counter)

    assert numbers.gauges[REQUESTS_IN_PROGRESS, ()] == 1
    assert numbers.gauges[WEBSOCKETS_OPEN, ()] == 1
    counter.ended(second)
    assert numbers_of(counter).gauges[REQUESTS_IN_PROGRESS, ()] == 0


def test_each_record_is_counted_once() -> None:
    counter = RequestCounter()
    counter.started(one := record())
    counter.ended(one)

    assert numbers_of(counter).counters[REQUESTS, ("200",)] == 1
    assert numbers_of(counter).counters[REQUESTS, ("200",)] == 0


def test_the_wire_is_what_queue_and_thread_leave() -> None:
    one = record()
    one.queue_s, one.thread_s = 0.5, 1.5

    numbers = ended(one, record())

    assert numbers.histograms[REQUEST_S, ()].sum_s == 6
    assert numbers.histograms[REQUEST_WIRE_S, ()].sum_s == 1 + 3
    queue = numbers.histograms[REQUEST_QUEUE_S, ()]
    assert (sum(queue.counts), queue.sum_s) == (1, 0.5)  # the other has waited for nothing


def test_a_request_without_a_response_has_no_status() -> None:
    one = record(status=None)
    one.disconnected = True

    numbers = ended(one)

    assert numbers.counters[REQUESTS, ("none",)] == 1
    assert numbers.counters[DISCONNECTS, ("http",)] == 1


def test_websockets_are_not_among_the_requests() -> None:
    numbers = ended(record("websocket", 101))

    assert numbers.counters[WEBSOCKETS, ("101",)] == 1
    assert sum(numbers.histograms[REQUEST_S, ()].counts) == 0


def test_classes_of_errors_are_counted_apart_up_to_a_number() -> None:
    records = [record(status=500) for _ in range(MOST_ERRORS + 2)]
    for number, each in enumerate(records):
        each.error = f"Error{number}"

    numbers = ended(*records)

    assert numbers.counters[ERRORS, ("Error0",)] == 1
    assert numbers.counters[ERRORS, ("other",)] == 2

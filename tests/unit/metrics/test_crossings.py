"""What adapters record of their requests: each is counted once, as it was."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import bridge
from bridge._observe.observed import observed
from bridge._observe.settings import Settings
from bridge._threads.pool import WorkerPool
from bridge.metrics.catalogue import (
    DISCONNECTS,
    ERRORS,
    POOL_QUEUE_S,
    POOL_THREAD_S,
    RECEIVED_BYTES,
    REQUEST_QUEUE_S,
    REQUEST_S,
    REQUEST_THREAD_S,
    REQUEST_WIRE_S,
    REQUESTS,
    REQUESTS_IN_PROGRESS,
    SENT_BYTES,
    Metric,
)
from bridge.metrics.measure import leave_adapters, record_in_adapters
from bridge.metrics.numbers import Numbers
from bridge.metrics.requests import RequestCounter
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness.asgi import Exchange, call, http_scope
from tests.harness.wsgi import TIMEOUT_S, Background, WsgiExchange, environ_of
from tests.harness.wsgi import call as call_wsgi

LENGTH = [(b"content-length", b"5")]
TYPE = (b"content-type", b"text/plain")


class Measured:
    """An app, and the numbers of its requests."""

    def __init__(self, app: Any, counter: RequestCounter | None = None) -> None:
        self.app = app
        self.counter = counter or RequestCounter()
        assert record_in_adapters(app, self.counter)
        self.numbers = Numbers()

    def read(self) -> Numbers:
        self.numbers.gauges.clear()
        self.counter.add_to(self.numbers)
        return self.numbers

    def statuses(self) -> dict[str, float]:
        """How many requests have ended, by status; none is in progress."""
        numbers = self.read()
        assert numbers.gauges[REQUESTS_IN_PROGRESS, ()] == 0
        return {key[1][0]: count for key, count in numbers.counters.items() if key[0] is REQUESTS}

    def count(self, metric: Metric, *labels: str) -> float:
        return self.numbers.counters[metric, labels]

    def observed(self, metric: Metric, *labels: str) -> int:
        histogram = self.numbers.histograms.get((metric, labels))
        return 0 if histogram is None else sum(histogram.counts)


# -- WSGI apps on ASGI servers ---------------------------------------------------------------------


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/fails":
        raise ZeroDivisionError
    environ["wsgi.input"].read(100)
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"hel", b"lo"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def to_asgi(app: Any = wsgi_app, **options: Any) -> Measured:
    return Measured(bridge.to_asgi(app, **options))


def test_an_ordinary_request_is_one_tuple() -> None:
    measured = to_asgi(threads=1)
    [crossings] = measured.counter._crossings

    call(measured.app, http_scope())

    assert len(crossings._whole) == 1
    assert measured.statuses() == {"200": 1}
    times = (REQUEST_S, REQUEST_QUEUE_S, REQUEST_THREAD_S, REQUEST_WIRE_S)
    assert [measured.observed(metric) for metric in times] == [1, 1, 1, 1]
    pool = (POOL_QUEUE_S, POOL_THREAD_S)
    assert [measured.observed(metric, "bridge-worker") for metric in pool] == [1, 1]
    assert measured.count(SENT_BYTES, "http") == 5
    assert measured.statuses() == {"200": 1}  # once


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        (http_scope("HEAD"), 0),
        (http_scope("HEAD", path="/stream"), 0),
        (http_scope(path="/stream"), 5),
        (http_scope(http_version="2"), 5),
        (http_scope("POST", headers=LENGTH), 5),
        (http_scope("POST", headers=[(b"transfer-encoding", b"chunked")]), 5),
    ],
)
def test_bytes_are_those_of_the_bodies(scope: Scope, sent: int) -> None:
    measured = to_asgi()
    body = [b"he", b"llo"] if scope["method"] == "POST" else [b""]

    call(measured.app, scope, *body)

    assert measured.statuses() == {"200": 1}
    assert measured.count(SENT_BYTES, "http") == sent
    assert measured.count(RECEIVED_BYTES, "http") == len(b"".join(body))
    assert measured.observed(POOL_THREAD_S, "bridge-worker") == 1


def test_an_error_is_counted_by_class() -> None:
    measured = to_asgi()

    with pytest.raises(ZeroDivisionError):
        call(measured.app, http_scope(path="/fails"))

    assert measured.statuses() == {"500": 1}
    assert measured.count(ERRORS, "ZeroDivisionError") == 1
    assert measured.observed(POOL_THREAD_S, "bridge-worker") == 1


def test_a_request_that_is_malformed_is_counted() -> None:
    measured = to_asgi()

    call(measured.app, http_scope("POST", headers=[(b"content-length", b"-1")]))

    assert measured.statuses() == {"400": 1}
    assert measured.observed(POOL_THREAD_S, "bridge-worker") == 0


class Gate:
    """A WSGI app that waits until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.entered.release()
        assert self.opened.wait(TIMEOUT_S)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]


async def test_requests_are_in_progress_until_they_end_and_refused_ones_are_counted() -> None:
    gate = Gate()
    measured = to_asgi(gate, threads=1, backlog=1)
    async with (
        Exchange(measured.app, http_scope()) as first,
        Exchange(measured.app, http_scope()) as second,
    ):
        first.feed()
        assert await asyncio.to_thread(gate.entered.acquire, timeout=TIMEOUT_S)
        second.feed()
        async with Exchange(measured.app, http_scope()) as refused:
            refused.feed()
            assert (await refused.response()).status == 503
        assert measured.read().gauges[REQUESTS_IN_PROGRESS, ()] == 2
        gate.opened.set()
        await first.response()
        await second.response()

    assert measured.statuses() == {"200": 2, "503": 1}


async def test_a_request_that_waits_in_vain_is_counted() -> None:
    gate = Gate()
    measured = to_asgi(gate, threads=1, queue_timeout_s=0.05)
    async with Exchange(measured.app, http_scope()) as first:
        first.feed()
        assert await asyncio.to_thread(gate.entered.acquire, timeout=TIMEOUT_S)
        async with Exchange(measured.app, http_scope()) as second:
            second.feed()
            assert (await second.response()).status == 503
        gate.opened.set()
        await first.response()

    assert measured.statuses() == {"200": 1, "503": 1}
    assert measured.observed(REQUEST_QUEUE_S) == 2
    assert measured.observed(POOL_THREAD_S, "bridge-worker") == 1


async def test_a_request_that_is_given_up_is_counted_and_its_thread_once_it_is_free() -> None:
    gate = Gate()
    measured = to_asgi(gate, threads=1, request_timeout_s=0.05)
    async with Exchange(measured.app, http_scope()) as exchange:
        exchange.feed()
        assert (await exchange.response()).status == 504
        assert measured.statuses() == {"504": 1}
        assert measured.observed(POOL_THREAD_S, "bridge-worker") == 0
        gate.opened.set()
        async with asyncio.timeout(TIMEOUT_S):
            while not measured.observed(POOL_THREAD_S, "bridge-worker"):
                await asyncio.sleep(0.001)
                measured.read()

    assert measured.statuses() == {"504": 1}


def endless(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    while True:
        yield b"x" * 10000


@pytest.mark.parametrize("after", ["raises", "silent"])
async def test_a_disconnect_is_counted(after: Any) -> None:
    measured = to_asgi(endless)
    async with Exchange(measured.app, http_scope(), send_after_disconnect=after) as exchange:
        exchange.feed()
        await exchange.wait_for_body(10000)
        exchange.disconnect()
        await exchange.wait()

    assert measured.statuses() == {"200": 1}
    assert measured.count(DISCONNECTS, "http") == 1
    assert measured.count(SENT_BYTES, "http") >= 10000


@pytest.mark.parametrize("headers", [[], LENGTH])
async def test_a_disconnect_before_the_request_is_complete_is_counted(headers: Any) -> None:
    measured = to_asgi()
    async with Exchange(measured.app, http_scope("POST", headers=headers)) as exchange:
        exchange.disconnect()
        await exchange.wait()

    assert measured.statuses() == ({"400": 1} if headers else {"none": 1})
    assert measured.count(DISCONNECTS, "http") == 1


async def test_a_body_that_does_not_come_is_counted() -> None:
    measured = to_asgi(body_timeout_s=0.01)
    async with Exchange(measured.app, http_scope("POST", headers=LENGTH)) as exchange:
        assert (await exchange.response()).status == 408

    assert measured.statuses() == {"408": 1}
    assert measured.count(DISCONNECTS, "http") == 0


def test_a_pool_that_others_use_too_records_its_jobs_itself() -> None:
    with WorkerPool(1, name="shared") as pool:
        measured = to_asgi(executor=pool)
        call(measured.app, http_scope())

    assert measured.statuses() == {"200": 1}
    assert measured.observed(REQUEST_QUEUE_S) == 1
    assert measured.observed(POOL_QUEUE_S, "shared") == 0


# -- ASGI apps on WSGI servers ---------------------------------------------------------------------


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fails":
        raise ZeroDivisionError
    while (await receive()).get("more_body"):
        pass
    headers = [TYPE] if scope["path"] == "/stream" else [TYPE, *LENGTH]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"he", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"llo"})
    else:
        await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def to_wsgi() -> Iterator[Callable[..., Measured]]:
    made = []

    def make(app: Any = asgi_app, **options: Any) -> Measured:
        made.append(Measured(bridge.to_wsgi(app, lifespan="off", **options)))
        return made[-1]

    yield make
    for each in made:
        each.app.close()


def test_an_ordinary_request_on_a_wsgi_server_is_counted_once_with_all_times(
    to_wsgi: Callable[..., Measured],
) -> None:
    """Whether it took one hand-over, as on an idle machine, or more."""
    measured = to_wsgi()

    call_wsgi(measured.app, environ_of())

    assert measured.statuses() == {"200": 1}
    times = (REQUEST_S, REQUEST_QUEUE_S, REQUEST_THREAD_S, REQUEST_WIRE_S)
    assert [measured.observed(metric) for metric in times] == [1, 1, 1, 1]
    assert measured.count(SENT_BYTES, "http") == 5


@pytest.mark.parametrize(
    ("environ", "sent", "received"),
    [
        ({"method": "HEAD"}, 0, 0),
        ({"path": "/stream"}, 5, 0),
        ({"method": "POST", "body": b"1234567"}, 5, 7),
    ],
)
def test_bytes_on_a_wsgi_server_are_those_of_the_bodies(
    to_wsgi: Callable[..., Measured], environ: dict[str, Any], sent: int, received: int
) -> None:
    measured = to_wsgi()

    call_wsgi(measured.app, environ_of(**environ))

    assert measured.statuses() == {"200": 1}
    assert measured.count(SENT_BYTES, "http") == sent
    assert measured.count(RECEIVED_BYTES, "http") == received
    assert measured.observed(REQUEST_QUEUE_S) == measured.observed(REQUEST_THREAD_S) == 1


def test_an_error_on_a_wsgi_server_is_counted(to_wsgi: Callable[..., Measured]) -> None:
    measured = to_wsgi()

    with pytest.raises(ZeroDivisionError):
        call_wsgi(measured.app, environ_of(path="/fails"))
    call_wsgi(measured.app, environ_of("POST", CONTENT_LENGTH="x"), validate=False)

    assert measured.statuses() == {"500": 1, "400": 1}
    assert measured.count(ERRORS, "ZeroDivisionError") == 1


def test_a_response_that_is_closed_early_is_a_disconnect(
    to_wsgi: Callable[..., Measured],
) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [TYPE]})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})

    measured = to_wsgi(endless)

    with WsgiExchange(measured.app, environ_of()) as exchange:
        assert exchange.chunk()
        assert measured.read().gauges[REQUESTS_IN_PROGRESS, ()] == 1

    assert measured.statuses() == {"200": 1}
    assert measured.count(DISCONNECTS, "http") == 1


def test_requests_that_wait_for_a_blocked_loop_are_in_progress(
    to_wsgi: Callable[..., Measured],
) -> None:
    entered, opened, may_go_on = threading.Event(), threading.Event(), threading.Event()

    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        if scope["path"] == "/waits":
            await asyncio.to_thread(may_go_on.wait, TIMEOUT_S)
        else:
            opened.wait(TIMEOUT_S)
        await asgi_app(scope, receive, send)

    measured = to_wsgi(blocks)
    running = measured.app.start()
    waits = Background(call_wsgi, measured.app, environ_of(path="/waits"))
    assert entered.wait(TIMEOUT_S)
    entered.clear()
    blocking = [Background(call_wsgi, measured.app, environ_of()) for _ in range(2)]
    assert entered.wait(TIMEOUT_S)
    deadline = threading.Event()
    while running.unfollowed_requests() < 2:  # the one that blocks the loop has no task yet
        assert not deadline.wait(0.001)
    opened.set()
    for each in blocking:
        each.result()
    may_go_on.set()
    waits.result()

    assert running.unfollowed_requests() == 0
    assert measured.statuses() == {"200": 3}


# -- several times ---------------------------------------------------------------------------------


def test_a_request_that_crosses_twice_is_counted_once() -> None:
    """By the adapter that the server calls; and where an app inside is measured, too."""
    counter = RequestCounter()
    settings = Settings([counter], skips_counted=True)
    inside: Any = bridge.to_wsgi(observed(asgi_app, settings), lifespan="off")
    measured = Measured(bridge.to_asgi(observed(inside, settings)), counter)

    call(measured.app, http_scope())
    inside.close()

    assert measured.statuses() == {"200": 1}


@pytest.mark.parametrize("path", ["/", "/api", "/nowhere"])
def test_each_request_to_a_router_is_counted_once(path: str) -> None:
    counter = RequestCounter()
    settings = Settings([counter], skips_counted=True)
    mounts = {"/api": observed(asgi_app, settings), "/sync": wsgi_app}
    if path == "/":
        mounts["/"] = observed(wsgi_app, settings)
    measured = Measured(bridge.Router(mounts, lifespan="off"), counter)
    status = "404" if path == "/nowhere" else "200"

    call(measured.app, http_scope(path=path))
    assert measured.statuses() == {status: 1}
    call_wsgi(measured.app, environ_of(path=path))
    measured.app.close()

    assert measured.statuses() == {status: 2}


def test_a_middleware_around_all_adapters_counts_instead() -> None:
    measured = to_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await measured.app(scope, receive, send)

    leave_adapters()
    call(observed(middleware, Settings([measured.counter])), http_scope())

    assert measured.statuses() == {"200": 1}
    assert measured.observed(POOL_THREAD_S, "bridge-worker") == 0  # the pool records its jobs again


def test_an_error_before_the_app_is_called_is_counted() -> None:
    def fails(scope: Scope) -> dict[str, str]:
        raise ZeroDivisionError

    measured = to_asgi(trusted_environ=fails)

    with pytest.raises(ZeroDivisionError):
        call(measured.app, http_scope())

    assert measured.statuses() == {"500": 1}

"""An overloaded pool: who gets 503, on threads of the adapter's own, shared ones and an executor's.

`tests/unit/threads/test_job_queue.py` tests the rules.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import bridge
from bridge.types import Environ, StartResponse
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call, http_scope

Logged = Callable[[], list[str]]

TARGET_S = 0.004
MOST = 5000
"""Requests until an overload must have been noticed."""
WAITED_S = 0.1
"""More than a request that is refused at once takes, less than any that is refused later."""


class SlowApp:
    """Takes 10 ms for each request."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        time.sleep(0.01)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]


class Overload:
    """Requests that come faster than they are served, of clients that never leave.

    :ivar statuses: the answers.
    :ivar late: how many have waited before they were refused.
    """

    def __init__(self, adapter: bridge.WsgiToAsgi) -> None:
        self.statuses: Counter[int] = Counter()
        self.late = 0
        self._adapter = adapter

    async def run(self) -> None:
        """Until one that has waited is refused; then wait for all answers."""
        tasks: list[asyncio.Task[None]] = []
        while not self.late and len(tasks) < MOST:
            tasks.append(asyncio.create_task(self._request()))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)

    async def _request(self) -> None:
        begun = time.monotonic()
        async with Exchange(self._adapter, http_scope(path="/page")) as exchange:
            exchange.feed()
            response = await exchange.response()
        self.statuses[response.status] += 1
        if response.status == 503:
            assert response.header("retry-after") == "1"
            self.late += time.monotonic() - begun > WAITED_S


@contextmanager
def executors(kind: str) -> Iterator[Executor | None]:
    if kind == "own threads":
        yield None
    elif kind == "a shared pool":
        with bridge.WorkerPool(1, wait_target_s=TARGET_S, name="shared") as pool:
            yield pool
    else:
        with ThreadPoolExecutor(1) as executor:
            yield executor


@pytest.mark.parametrize("kind", ["own threads", "a shared pool", "an executor"])
def test_those_who_cannot_be_served_get_503_and_the_others_are_served(
    to_asgi: ToAsgi, logged: Logged, kind: str
) -> None:
    app = SlowApp()
    with executors(kind) as executor:
        adapter = to_asgi(app, threads=1, executor=executor, wait_target_s=TARGET_S)
        overload = Overload(adapter)
        asyncio.run(overload.run())
        stats = adapter.stats()

    assert overload.late
    assert overload.statuses.keys() == {200, 503}
    assert app.calls == overload.statuses[200]
    assert stats.refused == overload.statuses[503]
    assert stats.waiting == 0
    lines = logged()
    assert len(lines) == overload.statuses[503]  # in this process each is logged
    assert all(line.startswith("503 for GET /page: ") for line in lines)
    assert all(line.endswith("jobs wait (wait_target_s=0.004)") for line in lines)


def test_without_a_target_nobody_is_refused_for_a_wait(to_asgi: ToAsgi) -> None:
    adapter = to_asgi(SlowApp(), threads=1, wait_target_s=None)

    async def run() -> list[int]:
        overload = Overload(adapter)
        tasks = []
        for _ in range(300):
            tasks.append(asyncio.create_task(overload._request()))
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)
        return sorted(overload.statuses)

    assert asyncio.run(run()) == [200]


def test_calls_on_a_shared_pool_are_never_refused() -> None:
    """`sync_to_async` and ``submit()`` on the threads that serve the requests."""
    with bridge.WorkerPool(1, wait_target_s=TARGET_S, name="shared") as pool:
        adapter = bridge.WsgiToAsgi(SlowApp(), executor=pool)

        async def run() -> tuple[list[int], list[int]]:
            overload = Overload(adapter)
            double = bridge.sync_to_async(int, thread_sensitive=False, executor=pool)
            calls, futures = [], []

            async def call_now_and_then() -> None:
                while True:
                    calls.append(asyncio.create_task(double("2")))
                    futures.append(pool.submit(int, "3"))
                    await asyncio.sleep(0.05)

            calling = asyncio.create_task(call_now_and_then())
            await overload.run()
            calling.cancel()
            submitted = [await asyncio.wrap_future(future) for future in futures]
            return list(await asyncio.gather(*calls)), submitted

        doubled, submitted = asyncio.run(run())
    assert set(doubled) == {2}
    assert set(submitted) == {3}


def test_without_any_thread_a_request_gets_503_and_the_next_one_a_thread(
    to_asgi: ToAsgi, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SlowApp()
    adapter = to_asgi(app)

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        refused = call(adapter, http_scope(path="/page"))
    assert (refused.status, refused.header("retry-after")) == (503, "1")
    assert call(adapter, http_scope()).status == 200
    assert logged() == [
        "503 for GET /page: pool 'bridge-worker' has no thread, and none can be started: "
        "can't start new thread"
    ]

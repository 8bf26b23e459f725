"""Adapters for the in-process tests of ``to_wsgi``, closed after each test."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import bridge
from bridge._threads.loop_thread import LoopThread
from bridge.sync import loop_task
from bridge.types import AsgiApp
from tests.harness.wsgi import TIMEOUT_S


class ToWsgi(Protocol):
    """Creates an adapter like ``bridge.to_wsgi``. It is closed after the test."""

    def __call__(self, app: AsgiApp, **options: Any) -> bridge.AsgiToWsgi: ...


@pytest.fixture
def to_wsgi() -> Iterator[ToWsgi]:
    adapters: list[bridge.AsgiToWsgi] = []

    def make(app: AsgiApp, **options: Any) -> bridge.AsgiToWsgi:
        adapter = bridge.AsgiToWsgi(app, **{"shutdown_timeout_s": 5, **options})
        adapters.append(adapter)
        return adapter

    before = loop_users()
    yield make
    for adapter in adapters:
        adapter.close()
    assert loop_users() == before, "an adapter did not release its loop"


def loop_users() -> int:
    """The number of users of event loop threads, without ``async_to_sync``."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, LoopThread)]
    return sum(thread.users for thread in threads) - sum(
        thread in threads for thread in loop_task._kept.values()
    )


def run_ready_callbacks(app: Any) -> None:
    """Run the app's event loop until nothing is ready any more."""

    async def iterate() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    app.start().thread.submit(iterate()).result(TIMEOUT_S)


@pytest.fixture
def bridge_log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Messages that ``bridge`` logged above level DEBUG, with their exceptions."""
    caplog.set_level(logging.INFO, logger="bridge")

    def messages() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith("bridge")]
        return [
            record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else "")
            for record in records
        ]

    return messages

"""Adapters for the in-process tests of `to_wsgi`, whose loop ends with the test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import bridge
from bridge._threads.loop_thread import LoopThread
from bridge.sync import loop_task
from bridge.types import AsgiApp


class Adapted(Protocol):
    """Makes an adapter as ``bridge.to_wsgi`` does, and closes it after the test."""

    def __call__(self, app: AsgiApp, **options: Any) -> bridge.AsgiToWsgi: ...


@pytest.fixture
def adapted() -> Iterator[Adapted]:
    made: list[bridge.AsgiToWsgi] = []

    def make(app: AsgiApp, **options: Any) -> bridge.AsgiToWsgi:
        adapter = bridge.AsgiToWsgi(app, **{"shutdown_timeout_s": 5, **options})
        made.append(adapter)
        return adapter

    before = leases()
    yield make
    for adapter in made:
        adapter.close()
    assert leases() == before, "an adapter keeps a loop"


def leases() -> int:
    """How many leases adapters have on event loops: all but the one of ``async_to_sync``."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, LoopThread)]
    return sum(thread.users for thread in threads) - (loop_task._kept in threads)


@pytest.fixture
def bridge_log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What ``bridge`` has logged above debug level, with the exceptions."""
    caplog.set_level(logging.INFO, logger="bridge")

    def messages() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith("bridge")]
        return [
            record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else "")
            for record in records
        ]

    return messages

"""Whether this process should be replaced, and who learns of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bridge._threads import health


@pytest.fixture(autouse=True)
def healthy() -> Iterator[None]:
    """Each test begins, and leaves, a healthy process that nobody watches."""
    callbacks = list(health._callbacks)
    health._callbacks.clear()
    health._forget()
    yield
    health._callbacks[:] = callbacks
    health._forget()


def test_a_process_is_well_until_something_reports_the_opposite() -> None:
    assert health.degraded() is None

    health.degrade("2 threads are lost")

    assert health.degraded() == "2 threads are lost"


def test_each_callback_is_called_once_with_the_first_reason() -> None:
    early: list[str] = []
    late: list[str] = []
    health.on_degraded(early.append)

    health.degrade("first")
    health.degrade("second")
    health.on_degraded(late.append)

    assert early == late == ["first"]
    assert health.degraded() == "first"


def test_a_callback_that_fails_does_not_keep_the_others_from_being_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[str] = []

    def fail(reason: str) -> None:
        raise RuntimeError("no")

    health.on_degraded(fail)
    health.on_degraded(called.append)
    health.degrade("lost")

    assert called == ["lost"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "this process should be replaced: lost"
    assert lines[1].endswith("failed")


def test_a_forked_child_is_well_and_keeps_the_callbacks() -> None:
    called: list[str] = []
    health.on_degraded(called.append)
    health.degrade("in the parent")

    pid = os.fork()
    if pid == 0:
        was_well = health.degraded() is None
        health.degrade("in the child")
        os._exit(0 if was_well and called == ["in the parent", "in the child"] else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0

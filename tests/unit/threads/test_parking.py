"""The two gates: one open lets one wait through, and nothing stays open."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable

import pytest

from bridge._threads.parking import Gate, LockGate, QuickGate

DEADLINE_S = 30
ROUNDS = 200


def without_descriptors() -> Gate:
    """A `QuickGate` as it is where no eventfd can be had."""

    def refuse(*_: int) -> int:
        raise OSError("too many open files")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "eventfd", refuse, raising=False)
        return QuickGate()


KINDS: list[Callable[[], Gate]] = [LockGate, QuickGate, without_descriptors]


@pytest.mark.parametrize("make", KINDS)
def test_a_gate_that_was_opened_first_lets_the_next_wait_through(make: Callable[[], Gate]) -> None:
    gate = make()
    for _ in range(3):
        gate.open()
        gate.wait()


@pytest.mark.parametrize("make", KINDS)
def test_each_open_lets_one_wait_through(make: Callable[[], Gate]) -> None:
    there, back = make(), make()
    passed: list[int] = []

    def work() -> None:
        for number in range(ROUNDS):
            there.wait()
            passed.append(number)
            back.open()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for number in range(ROUNDS):
        assert len(passed) == number  # it waits, however often it was let through before
        there.open()
        back.wait()
    thread.join(DEADLINE_S)
    assert passed == list(range(ROUNDS))


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd on this platform")
def test_a_gate_takes_its_descriptor_with_it() -> None:
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    gates = [QuickGate() for _ in range(5)]
    assert len(set(os.listdir("/proc/self/fd")) - before) >= 5
    del gates
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= before

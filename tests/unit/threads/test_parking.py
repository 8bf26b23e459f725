"""Both kinds of parking: each unpark ends one park, and descriptors are closed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from bridge._threads.parking import EventfdParking, LockParking, Parking

DEADLINE_S = 30
ROUNDS = 200


def without_descriptors() -> Parking:
    """An ``EventfdParking`` whose ``eventfd()`` has failed."""

    def refuse(*_: int) -> int:
        raise OSError("too many open files")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "eventfd", refuse, raising=False)
        return EventfdParking()


KINDS: list[Callable[[], Parking]] = [LockParking, EventfdParking, without_descriptors]


@pytest.mark.parametrize("make", KINDS)
def test_an_unpark_before_a_park_lets_it_return(make: Callable[[], Parking]) -> None:
    parking = make()
    for _ in range(3):
        parking.unpark()
        parking.park()


@pytest.mark.parametrize("make", KINDS)
def test_each_unpark_ends_one_park(make: Callable[[], Parking]) -> None:
    ping, pong = make(), make()
    passed: list[int] = []

    def work() -> None:
        for number in range(ROUNDS):
            ping.park()
            passed.append(number)
            pong.unpark()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for number in range(ROUNDS):
        assert len(passed) == number  # the thread waits, whatever happened in earlier rounds
        ping.unpark()
        pong.park()
    thread.join(DEADLINE_S)
    assert passed == list(range(ROUNDS))


COUNT_DESCRIPTORS = """
import os
from bridge._threads.parking import EventfdParking

def show():
    print(len(os.listdir("/proc/self/fd")))

show()
parkings = [EventfdParking() for _ in range(5)]
show()
del parkings
show()
"""


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd on this platform")
def test_a_freed_parking_closes_its_descriptor() -> None:
    """In a process of its own: threads of other tests open and close some here."""
    command = [sys.executable, "-c", COUNT_DESCRIPTORS]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    before, with_parkings, after = map(int, shown.split())
    assert with_parkings == before + 5
    assert after == before

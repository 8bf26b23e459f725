"""The living instances of a class, while threads make and drop some."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from bridge._threads.instances import Instances

ROUNDS = 3000


class Thing:
    """Something that is made and dropped."""


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_those_that_are_dropped_are_gone() -> None:
    things: Instances[Thing] = Instances()
    kept, dropped = Thing(), Thing()
    for thing in (kept, dropped, kept):
        things.add(thing)
    del dropped, thing

    assert things.alive() == [kept]


def test_a_discarded_one_is_gone() -> None:
    things: Instances[Thing] = Instances()
    first, second = Thing(), Thing()
    things.add(first)
    things.add(second)

    things.discard(first)
    things.discard(first)

    assert things.alive() == [second]


@pytest.mark.usefixtures("frequent_switches")
def test_going_through_them_while_others_come_and_go_raises_nothing() -> None:
    things: Instances[Thing] = Instances()
    ended = threading.Event()

    def make_and_drop() -> None:
        while not ended.is_set():
            made = [Thing() for _ in range(20)]
            for thing in made:
                things.add(thing)

    threads = [threading.Thread(target=make_and_drop) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ROUNDS):
            assert all(type(thing) is Thing for thing in things.alive())
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert things.alive() == []

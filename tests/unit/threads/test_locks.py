"""A signal handler that raises at the worst moment leaves no lock locked."""

from __future__ import annotations

import _thread
import ast
import signal
import threading
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge._threads.locks import GreenletMutex, InterruptibleMutex, RealMutex

PACKAGE = Path(bridge.__file__).parent
LOCKS = {"Lock", "RLock", "RealLock", "allocate_lock"}


class Interrupted(BaseException):
    """Raised by the signal handler."""


class LockWithSignal:
    """A signal arrives while it is acquired: the handler runs as soon as Python allows it.

    :ivar acquire: in C, because the handler would run at the start of a Python function.
    """

    def __init__(self) -> None:
        self.acquire = zip(map(_thread.interrupt_main, repeat(signal.SIGUSR1))).__next__
        self.was_released = False

    def locked(self) -> bool:
        return not self.was_released

    def __exit__(self, *_: object) -> None:
        self.was_released = True


class PlainLock:
    """:class:`LockWithSignal` in a ``with`` statement that calls it directly."""

    __slots__ = ("__enter__", "__exit__")

    def __init__(self, lock: LockWithSignal) -> None:
        self.__enter__ = lock.acquire
        self.__exit__ = lock.__exit__


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


def is_released_by(wrapper: type[InterruptibleMutex] | type[PlainLock]) -> bool:
    """Whether the lock is free after a handler has raised as early as it can."""
    lock = LockWithSignal()
    with pytest.raises(Interrupted), wrapper(lock):
        len(repr(lock))  # at the latest here: at the end of a call
    return lock.was_released


def test_a_handler_that_raises_as_the_lock_is_acquired_leaves_it_unlocked() -> None:
    assert [is_released_by(InterruptibleMutex) for _ in range(100)] == [True] * 100


def test_it_is_used_where_python_would_leave_the_lock_locked() -> None:
    is_needed = not all(is_released_by(PlainLock) for _ in range(100))
    for make in (RealMutex, GreenletMutex):
        if is_needed:
            assert isinstance(make(), InterruptibleMutex)


@pytest.mark.parametrize(
    "make", [RealMutex, GreenletMutex, lambda: InterruptibleMutex(threading.Lock())]
)
def test_one_thread_at_a_time_is_in_the_block(make: Any) -> None:
    mutex = make()
    inside: list[int] = []
    most = []

    def work() -> None:
        for _ in range(500):
            with mutex:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_each_lock_that_a_with_statement_takes_is_a_mutex() -> None:
    locks: set[str] = set()
    entered: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "locks.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and _makes_lock(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                locks.update(_name(target, path) for target in targets)
            elif isinstance(node, ast.With):
                entered.update(_name(item.context_expr, path) for item in node.items)

    assert {"._sleep_lock", "._ticket"} <= locks
    assert {"._lock", ".lock"} <= entered
    assert not locks & entered


def _makes_lock(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call) or ast.unparse(value.func) == "asyncio.Lock":
        return False
    return ast.unparse(value.func).rpartition(".")[2] in LOCKS


def _name(expression: ast.expr, path: Path) -> str:
    """An attribute has its name in the whole package, a variable in its module."""
    if isinstance(expression, ast.Attribute):
        return f".{expression.attr}"
    return f"{path.name}:{ast.unparse(expression)}"

"""An event loop in a greenlet, where gevent or eventlet has patched ``threading``.

Rule 1. While the loop waits for events, other greenlets of the thread run: its selector is the
        patched one, also where ``select`` itself is not.
Rule 2. asyncio keeps the running loop, and the hooks for async generators, for each thread of the
        operating system, where all greenlets would find those of one loop: ``asyncio.run()`` and
        ``async_to_sync`` in another greenlet would fail, and a loop would close the async
        generators of another. So a loop takes them along when its greenlet stops, and puts back
        what it has found.
Rule 3. Its greenlet stops in its selector; but a callback may stop it, too, by starting a thread or
        waiting for a lock. So the switches of greenlets are traced while a loop runs callbacks, and
        not while it sleeps, which is when nearly all switches happen.
Rule 4. Greenlets survive ``os.fork()``, unlike threads. In a child the loop never runs again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

__all__ = ["make_green", "runs_here"]

_FOREVER_S = 3600.0


def make_green(loop: asyncio.SelectorEventLoop, patcher: str) -> None:
    """Let other greenlets run while a new loop waits.

    :param patcher: ``"gevent"`` or ``"eventlet"``.
    """
    _GreenSelector(patcher).replace(loop)


@contextmanager
def runs_here(loop: AbstractEventLoop) -> Iterator[None]:
    """The current thread runs ``loop``, beside other loops if threads are greenlets."""
    selector = getattr(loop, "_selector", None)
    if not isinstance(selector, _GreenSelector):
        yield
        return
    selector.enter()
    try:
        yield
    finally:
        selector.leave()


# -- greenlets -------------------------------------------------------------------------------------

_Trace = Callable[[str, tuple[Any, Any]], object]

_in_callbacks: dict[Any, _GreenSelector] = {}
"""The greenlets whose loop runs callbacks, mostly one."""

_outer_trace: _Trace | None = None
"""What traced the switches before."""


class _GreenSelector:
    """The patched selector of one loop, and what asyncio keeps for the thread."""

    lets_greenlets_run = True

    def __init__(self, patcher: str) -> None:
        import greenlet  # type: ignore[import-untyped,unused-ignore]  # in both packages

        name = {"gevent": "gevent.selectors", "eventlet": "eventlet.green.selectors"}[patcher]
        self._selector = import_module(name).DefaultSelector()
        self._greenlet = greenlet
        self._pid = os.getpid()
        self._kept: tuple[Any, ...] = (None, None, None)

    def replace(self, loop: Any) -> None:
        """Take the place of the selector of ``loop``, which already watches its own pipe."""
        old = loop._selector
        for key in old.get_map().values():
            self._selector.register(key.fileobj, key.events, key.data)
        old.close()
        loop._selector = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> list[Any]:
        self.leave()
        try:
            events: list[Any] = self._selector.select(timeout)
        finally:
            while self._pid != os.getpid():  # Rule 4
                time.sleep(_FOREVER_S)
            self.enter()
        return events

    def enter(self) -> None:
        """The loop of this greenlet continues."""
        global _outer_trace
        self.exchange()
        if not _in_callbacks:
            _outer_trace = self._greenlet.settrace(_on_switch)
        _in_callbacks[self._greenlet.getcurrent()] = self

    def leave(self) -> None:
        """The loop of this greenlet goes to sleep, or has ended."""
        del _in_callbacks[self._greenlet.getcurrent()]
        if not _in_callbacks:
            self._greenlet.settrace(_outer_trace)
        self.exchange()

    def exchange(self) -> None:
        """Exchange what asyncio keeps for the thread with what is kept here."""
        hooks = sys.get_asyncgen_hooks()
        found = (asyncio._get_running_loop(), hooks.firstiter, hooks.finalizer)
        loop, firstiter, finalizer = self._kept
        self._kept = found
        asyncio._set_running_loop(loop)
        sys.set_asyncgen_hooks(firstiter, finalizer)


def _on_switch(event: str, greenlets: tuple[Any, Any]) -> None:
    """A greenlet has stopped, and another runs now."""
    for greenlet in greenlets:
        selector = _in_callbacks.get(greenlet)
        if selector is not None:
            selector.exchange()
    if _outer_trace is not None:
        _outer_trace(event, greenlets)

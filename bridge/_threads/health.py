"""Whether this process has lost so much that a new one should replace it. Once so, always so.

Pure, but for a log line. Input: the reason, from whatever has lost it. Output: for health checks,
the reason; for whoever can have the process replaced, one call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge._threads import process
from bridge._threads.locks import RealMutex

__all__ = ["degrade", "degraded", "on_degraded"]

logger = logging.getLogger("bridge.health")

Callback = Callable[[str], object]

_callbacks: list[Callback] = []


class _State:
    """Of this process. A forked child has a new one."""

    def __init__(self) -> None:
        self.lock = RealMutex()
        self.reason: str | None = None


_state = _State()


def degraded() -> str | None:
    """Why this process should be replaced; None as long as it is well. From any thread."""
    return _state.reason


def degrade(reason: str) -> None:
    """Report that this process should be replaced. From any thread. Logs the first reason.

    :param reason: one line, without anything that a client has sent.
    """
    state = _state
    with state.lock:
        if state.reason is not None:
            return
        state.reason = reason
        callbacks = list(_callbacks)
    logger.error("this process should be replaced: %s", reason)
    for callback in callbacks:
        _call(callback, reason)


def on_degraded(callback: Callback) -> None:
    """Call ``callback`` with the reason, once, in this process or a forked child of it.

    It is called on the thread that calls :func:`degrade`, mostly that of an event loop: it must not
    block. At once if that has happened.
    """
    state = _state
    with state.lock:
        _callbacks.append(callback)
        reason = state.reason
    if reason is not None:
        _call(callback, reason)


def _call(callback: Callback, reason: str) -> None:
    try:
        callback(reason)
    except Exception:
        logger.exception("%r failed", callback)


def _forget() -> None:
    global _state
    _state = _State()


process.in_child(process.Fork.POOLS, _forget)

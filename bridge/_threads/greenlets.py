"""Whether threads are greenlets, and whether those run: gevent and eventlet patch ``threading``.

Under a WSGI server of either, every thread of the program is a greenlet of one hub, which runs them
while one of them waits. bridge's threads are greenlets, too: a loop or a worker in a thread of the
operating system would run app code whose locks, queues and child processes belong to the hub of
another thread, and each thread that such code starts would be a greenlet of a hub that never runs.

An app that patches its process may also be imported by an ASGI server. There, all greenlets of the
server's thread would find its event loop running, or never run at all. bridge's threads are real
ones there, from gevent's own thread pool, and so are those that start from them.
"""

from __future__ import annotations

import _thread
import asyncio
import sys
from types import ModuleType
from typing import Any

__all__ = ["greenlets_run_here", "original", "patched_by", "real_ident", "real_threads"]


def original(module: ModuleType, name: str) -> Any:
    """What ``module`` had under this name before gevent replaced or removed it; None if it had
    nothing."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is None:
        return getattr(module, name, None)
    try:
        return gevent.get_original(module.__name__, name)
    except AttributeError:
        return None


real_ident: Any = original(_thread, "get_ident")

real_threads: set[int] = set()
"""The threads of bridge that are real in a patched process, by ``real_ident()``."""


def patched_by() -> str | None:
    """What has replaced ``threading`` by greenlets: ``"gevent"``, ``"eventlet"`` or None."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        return "gevent"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return "eventlet"
    return None


def greenlets_run_here() -> bool:
    """Whether a thread that this thread starts is a greenlet, and one that will run."""
    if patched_by() is None or real_ident() in real_threads:
        return False
    loop = asyncio._get_running_loop()
    selector = getattr(loop, "_selector", None)
    return loop is None or getattr(selector, "lets_greenlets_run", False)

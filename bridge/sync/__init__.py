"""Helpers that call sync code from async code and the other way round.

:doc:`/explanation/sync` shows how they fit together. Each helper's docstring lists its threads.
"""

from __future__ import annotations

from bridge.sync.calls import cancelled
from bridge.sync.enter import enter_in_loop, enter_in_threads
from bridge.sync.iterate_loop import iterate_in_loop
from bridge.sync.iterate_threads import iterate_in_threads
from bridge.sync.pools import Limit, limit, pool, stats
from bridge.sync.thread_sensitive import ThreadSensitiveContext
from bridge.sync.to_loop import AsyncToSync, async_to_sync
from bridge.sync.to_thread import SyncToAsync, sync_to_async

__all__ = [
    "AsyncToSync",
    "Limit",
    "SyncToAsync",
    "ThreadSensitiveContext",
    "async_to_sync",
    "cancelled",
    "enter_in_loop",
    "enter_in_threads",
    "iterate_in_loop",
    "iterate_in_threads",
    "limit",
    "pool",
    "stats",
    "sync_to_async",
]

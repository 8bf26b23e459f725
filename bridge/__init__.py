"""Run WSGI apps on ASGI servers, and ASGI apps on WSGI servers.

>>> import bridge
>>> app = bridge.to_asgi(flask_app)  # doctest: +SKIP
>>> app = bridge.to_wsgi(fastapi_app)  # doctest: +SKIP
>>> app = bridge.Router({"/": flask_app, "/api": fastapi_app})  # doctest: +SKIP

Importing this package starts no thread and no event loop, and imports none of the extras.
"""

from __future__ import annotations

import bridge._installation  # noqa: F401  # first: raises ImportError for a mixed installation
from bridge._observe.access_log import RequestIdFilter
from bridge._observe.observe import observe
from bridge._observe.record import RequestRecord, current_request
from bridge._threads.pool import WorkerPool
from bridge._version import __version__
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.config import Limit
from bridge.convert import to_asgi, to_wsgi
from bridge.errors import (
    AmbiguousApp,
    AppLoadError,
    AppProtocolError,
    BodyTimeout,
    BridgeError,
    ClientDisconnected,
    ConfigError,
    DeadlockError,
    LifespanFailed,
    PoolClosed,
    PoolSaturated,
    ProtocolError,
    RequestTimeout,
    ServerProtocolError,
)
from bridge.interface import interface_of
from bridge.router.mount import Mount
from bridge.router.router import Router, universal
from bridge.sync import (
    ThreadSensitiveContext,
    async_to_sync,
    enter_in_loop,
    enter_in_threads,
    iterate_in_loop,
    iterate_in_threads,
    sync_to_async,
)
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = [
    "AmbiguousApp",
    "AppLoadError",
    "AppProtocolError",
    "AsgiToWsgi",
    "BodyTimeout",
    "BridgeError",
    "ClientDisconnected",
    "ConfigError",
    "DeadlockError",
    "LifespanFailed",
    "Limit",
    "Mount",
    "PoolClosed",
    "PoolSaturated",
    "ProtocolError",
    "RequestIdFilter",
    "RequestRecord",
    "RequestTimeout",
    "Router",
    "ServerProtocolError",
    "ThreadSensitiveContext",
    "WorkerPool",
    "WsgiToAsgi",
    "__version__",
    "async_to_sync",
    "current_request",
    "enter_in_loop",
    "enter_in_threads",
    "interface_of",
    "iterate_in_loop",
    "iterate_in_threads",
    "observe",
    "sync_to_async",
    "to_asgi",
    "to_wsgi",
    "universal",
]

"""Everything `bridge` raises on purpose.

::

    BridgeError
     ├─ ConfigError            an option, when the adapter is made (also a ValueError)
     ├─ AmbiguousApp           WSGI or ASGI? (also a TypeError)
     ├─ AppLoadError           a target such as "module:attr" does not lead to an app
     ├─ ProtocolError
     │   ├─ AppProtocolError      the app broke PEP 3333 or the ASGI spec
     │   └─ ServerProtocolError   the server did
     ├─ ClientDisconnected     the client left before the exchange ended (also a ConnectionError)
     ├─ PoolSaturated          the backlog is full
     ├─ PoolClosed             the pool is shut down (also a RuntimeError)
     ├─ LifespanFailed         an app's startup or shutdown failed, or took too long
     ├─ DeadlockError          a call that could never return (also a RuntimeError)
     └─ MigrationError         `bridge migrate` cannot go on

The two halves of `ProtocolError` say whose fault it is. A message names the state, what came and
what was allowed. Nothing here is raised for a mistake inside the app: the app's own exceptions
cross the bridge unchanged.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousApp",
    "AppLoadError",
    "AppProtocolError",
    "BridgeError",
    "ClientDisconnected",
    "ConfigError",
    "DeadlockError",
    "LifespanFailed",
    "MigrationError",
    "PoolClosed",
    "PoolSaturated",
    "ProtocolError",
    "ServerProtocolError",
]


class BridgeError(Exception):
    """Base of every error that `bridge` raises on purpose."""


class ConfigError(BridgeError, ValueError):
    """An option is wrong. Names the option, what it got and what it takes."""

    def __init__(self, option: str, got: object, takes: str) -> None:
        super().__init__(f"{option}={got!r}: takes {takes}")
        self.option = option
        self.got = got
        self.takes = takes


class AmbiguousApp(BridgeError, TypeError):
    """An app's interface cannot be told from looking at it. Says how to choose."""


class AppLoadError(BridgeError):
    """A target does not lead to an app. Says what was looked for, where, and near misses."""


class ProtocolError(BridgeError):
    """PEP 3333 or the ASGI specification was broken. See the subclasses for by whom."""


class AppProtocolError(ProtocolError):
    """The app broke PEP 3333 or the ASGI specification."""


class ServerProtocolError(ProtocolError):
    """The server broke PEP 3333 or the ASGI specification."""


class ClientDisconnected(BridgeError, ConnectionError):
    """The client left before the exchange ended.

    Raised from ``wsgi.input`` reads when the body is cut short, and from ``write()`` when nobody is
    left to read the response. An app may let it pass: it is not logged as an error.
    """


class PoolSaturated(BridgeError):
    """Every thread is busy and the backlog is full. A server answers 503 with Retry-After."""


class PoolClosed(BridgeError, RuntimeError):
    """The pool takes no more work: it is shut down."""


class LifespanFailed(BridgeError):
    """An app's lifespan startup or shutdown failed, or took longer than its timeout."""


class DeadlockError(BridgeError, RuntimeError):
    """The call could never return: it waits for the thread or loop it would block. Says why."""


class MigrationError(BridgeError):
    """`bridge migrate` cannot go on. Says where and what to do."""

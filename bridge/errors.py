"""The errors that `bridge` raises.

::

    BridgeError
     ├─ ConfigError            an option is wrong, when the adapter is made (also a ValueError)
     ├─ AmbiguousApp           WSGI or ASGI? (also a TypeError)
     ├─ AppLoadError           a target such as "module:attr" does not lead to an app
     ├─ ProtocolError
     │   ├─ AppProtocolError      the app broke PEP 3333 or the ASGI spec
     │   └─ ServerProtocolError   the server did
     ├─ ClientDisconnected     the client disconnected too early (also a ConnectionError)
     │   └─ BodyTimeout           it is connected, but has stopped sending its body
     ├─ RequestTimeout         a request took longer than its limit
     ├─ PoolSaturated          the backlog is full, or an overload
     ├─ PoolClosed             the pool is shut down (also a RuntimeError)
     ├─ LifespanFailed         an app's startup or shutdown failed, or took too long
     ├─ DeadlockError          a call would never return (also a RuntimeError)
     └─ MigrationError         `bridge migrate` cannot continue

The subclass of `ProtocolError` shows whether the app or the server is at fault. A message names the
state, what was sent and what was allowed. Exceptions of the app are not wrapped in these: they are
raised unchanged on the other side, except those that :func:`interrupts` names.
"""

from __future__ import annotations

from asyncio import CancelledError

__all__ = [
    "AmbiguousApp",
    "AppLoadError",
    "AppProtocolError",
    "BodyTimeout",
    "BridgeError",
    "ClientDisconnected",
    "ConfigError",
    "DeadlockError",
    "LifespanFailed",
    "MigrationError",
    "PoolClosed",
    "PoolSaturated",
    "ProtocolError",
    "RequestTimeout",
    "ServerProtocolError",
    "interrupts",
]


class BridgeError(Exception):
    """Base class of all errors of `bridge`."""


class ConfigError(BridgeError, ValueError):
    """An option is wrong. The message names the option, its value and what it accepts.

    :ivar option: its name.
    :ivar got: its value.
    :ivar takes: what it accepts.
    """

    def __init__(self, option: str, got: object, takes: str) -> None:
        super().__init__(f"{option}={got!r}: expected {takes}")
        self.option = option
        self.got = got
        self.takes = takes


class AmbiguousApp(BridgeError, TypeError):
    """The interface of an app, WSGI or ASGI, cannot be detected. The message says how to choose."""


class AppLoadError(BridgeError):
    """A target does not lead to an app. The message has what was looked for, where, and close
    matches.
    """


class ProtocolError(BridgeError):
    """PEP 3333 or the ASGI specification was violated; the subclasses show by whom."""


class AppProtocolError(ProtocolError):
    """The app violated PEP 3333 or the ASGI specification."""


class ServerProtocolError(ProtocolError):
    """The server violated PEP 3333 or the ASGI specification."""


class ClientDisconnected(BridgeError, ConnectionError):
    """The client disconnected before the response was complete.

    Raised by reads of ``wsgi.input`` when the body is cut short, and by ``write()`` and ``send()``
    when no more of the response is read. An app need not catch it: it is not logged as an error.
    """


class BodyTimeout(ClientDisconnected):
    """The client is connected, but the request body has made no progress for ``body_timeout_s``.

    Raised by reads of ``wsgi.input``. If the response has not begun, the client gets 408, and what
    the app returns is dropped, as after a disconnect.

    Also raised if it is the app that has read nothing, for minutes in which it sent its response:
    what had not arrived by then is dropped.
    """

    def __init__(self, timeout_s: float, *, unread: bool = False) -> None:
        super().__init__(
            f"the app has sent its response for {timeout_s:g} s without reading the request body, "
            "so the rest of the body was dropped"
            if unread
            else f"no more of the request body has arrived for {timeout_s} s"
        )


class RequestTimeout(BridgeError):
    """A request has made no progress for ``request_timeout_s``.

    Raised to the server if the response has begun, so that it cuts the connection; else the client
    gets 504. What the app still does for the request is dropped, as after a disconnect.

    :ivar is_awaited: whether the client was still connected.
    """

    def __init__(self, timeout_s: float, *, is_awaited: bool = True) -> None:
        super().__init__(f"the request has made no progress for request_timeout_s={timeout_s:g}")
        self.is_awaited = is_awaited


class PoolSaturated(BridgeError):
    """Every thread is busy, and the backlog is full or the wait would be in vain.

    The client gets 503 with Retry-After.
    """


class PoolClosed(BridgeError, RuntimeError):
    """The pool is shut down and accepts no jobs."""


class LifespanFailed(BridgeError):
    """An app's lifespan startup or shutdown failed, or took longer than its timeout."""


class DeadlockError(BridgeError, RuntimeError):
    """The call would never return: it would wait for the thread or loop that it blocks."""


class MigrationError(BridgeError):
    """`bridge migrate` cannot continue. The message says where, and what to do."""


def interrupts(error: BaseException) -> bool:
    """Whether an exception of an app would interrupt the code that it is raised to.

    SystemExit and KeyboardInterrupt end an event loop, which other requests share. To the code that
    awaits an app, CancelledError means that it is cancelled itself, and GeneratorExit that it is
    closed. Such an exception is the cause of an :class:`AppProtocolError` on the other side.
    """
    return isinstance(error, (SystemExit, KeyboardInterrupt, CancelledError, GeneratorExit))

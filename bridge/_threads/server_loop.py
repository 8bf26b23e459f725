"""The asyncio event loop of an ASGI server, or one error where there is none, as under trio."""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop

from bridge.errors import ServerProtocolError

__all__ = ["no_asyncio_loop", "server_loop"]


def server_loop() -> AbstractEventLoop:
    """The asyncio event loop that runs on this thread.

    :raises ServerProtocolError: there is none.
    """
    try:
        return get_running_loop()
    except RuntimeError:
        raise no_asyncio_loop() from None


def no_asyncio_loop() -> ServerProtocolError:
    """The error for a server that runs no asyncio event loop."""
    return ServerProtocolError(
        "no asyncio event loop is running here; start the server on asyncio or uvloop, not trio"
    )

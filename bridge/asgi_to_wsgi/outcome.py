"""How a request of an ASGI app ends that does not end well: what to raise, or what to log.

What enters: what the app has raised, and an :class:`Ending`. What leaves: the exception for the
WSGI server, or a line in the log. On the event loop's thread. The table of outcomes is in
docs/explanation/asgi-to-wsgi-outcomes.md.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge._http.messages import HTTP_RESPONSE, State
from bridge.asgi_to_wsgi.client_watch import client_left
from bridge.errors import AppProtocolError, BridgeError, ClientDisconnected, PoolClosed

if TYPE_CHECKING:
    from bridge.asgi_to_wsgi.running_app import LiveApp

__all__ = ["Ending", "explain", "for_server", "report"]

logger = logging.getLogger("bridge.asgi_to_wsgi")

MAX_WRAPPINGS = 20


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a request at its end.

    :ivar state: of the response.
    :ivar cut: the request body had no clean end, or the client has closed its side.
    :ivar gone: nobody takes the response any more.
    :ivar timed_out: we cancelled the task, after ``task_timeout_s``.
    """

    live: LiveApp
    state: State
    cut: bool
    gone: bool
    timed_out: bool


def explain(error: BaseException | None, ending: Ending) -> BaseException:
    """Why there is no response, or no end of it. Raised to the server, which logs it."""
    where = f"{HTTP_RESPONSE.name}: {ending.live.name}"
    if ending.cut and (error is None or _comes_from_disconnect(error)):
        return client_left()
    if error is None:
        return AppProtocolError(f"{where} returned when {ending.state}")
    if isinstance(error, Exception):
        return error
    if not isinstance(error, CancelledError):
        # waitress, for one, leaves the client of such a request waiting forever.
        return _caused(error, f"{where} raised {error!r}, which is no Exception")
    if ending.timed_out:
        option = f"task_timeout_s={ending.live.options.task_timeout_s:g}"
        return AppProtocolError(f"{where} took longer than {option}, when {ending.state}")
    if ending.live.ends_at is not None:
        return PoolClosed(f"{ending.live.name} was shut down when {ending.state}")
    return _caused(error, f"{where} cancelled itself when {ending.state}")


def report(error: BaseException, ending: Ending) -> None:
    """Log what nobody is there to be raised to."""
    name = ending.live.name
    if isinstance(error, CancelledError):
        if ending.timed_out:
            timeout_s = ending.live.options.task_timeout_s
            logger.warning("%s went on for task_timeout_s=%g: cancelled", name, timeout_s)
    elif ending.gone and _comes_from_disconnect(error):
        logger.debug("%s: the client left: %r", name, error)
    else:
        when = "its client had left" if ending.gone else "its response was complete"
        logger.error("%s failed after %s", name, when, exc_info=error)


def for_server(error: BaseException, name: str) -> BaseException:
    """What to raise in place of an error of the app.

    A server takes an OSError for one of its own sockets: it closes the connection, without a 500
    and often without a line in its log.
    """
    if not isinstance(error, OSError) or isinstance(error, ClientDisconnected):
        return error
    wrapped = BridgeError(f"{name} raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _caused(cause: BaseException, text: str) -> AppProtocolError:
    error = AppProtocolError(text)
    error.__cause__ = cause
    return error


def _comes_from_disconnect(error: BaseException | None, wrappings: int = MAX_WRAPPINGS) -> bool:
    """Whether the app only passes on what ``send`` has raised. Frameworks wrap it, and task groups
    bundle it."""
    if error is None or not wrappings:
        return False
    if isinstance(error, ClientDisconnected):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(_comes_from_disconnect(leaf, wrappings - 1) for leaf in error.exceptions)
    return _comes_from_disconnect(error.__cause__ or error.__context__, wrappings - 1)

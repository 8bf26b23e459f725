"""How a request of an ASGI app ends with an error: what to raise to the server, or what to log.

Runs on the loop thread. The table of outcomes is in docs/explanation/asgi-to-wsgi-outcomes.md.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from dataclasses import dataclass

from bridge._http.client_text import literal
from bridge._http.messages import HTTP_RESPONSE, State
from bridge._repeated_log import RepeatedLog
from bridge.asgi_to_wsgi.client_watch import client_disconnected
from bridge.errors import (
    AppProtocolError,
    BridgeError,
    ClientDisconnected,
    PoolClosed,
    interrupts,
)
from bridge.types import Environ

__all__ = [
    "CutByShutdown",
    "Outcome",
    "comes_from_disconnect",
    "error_for_server",
    "log_error",
    "raised_to_server",
]

logger = logging.getLogger("bridge.asgi_to_wsgi")
repeated = RepeatedLog(logger)

MAX_CAUSES = 20

_ONLY_EXCEPTIONS = ("gunicorn.socket", "waitress.client_disconnected", "werkzeug.socket")
"""Keys of servers that answer a request only if what is raised is an Exception. For anything else
gunicorn's gthread worker exits, waitress leaves the client waiting, and Werkzeug's server ends."""


class CutByShutdown(PoolClosed):
    """The shutdown of the app has ended this request, which bridge has logged."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a request at its end.

    :ivar name: of the app.
    :ivar state: of the response.
    :ivar body_cut: the request body had no clean end, or the client has closed its side.
    :ivar disconnected: no more of the response is read.
    :ivar shut_down: the app is closing, and may have cancelled the task.
    :ivar timed_out_s: the task was cancelled after so many seconds (``task_timeout_s``).
    """

    name: str
    state: State
    body_cut: bool
    disconnected: bool
    shut_down: bool
    timed_out_s: float | None


def error_for_server(error: BaseException | None, outcome: Outcome) -> BaseException:
    """Why there is no complete response. Raised to the server, which logs it.

    :param error: what the app raised; None if it returned.
    """
    where = f"{HTTP_RESPONSE.name}: {outcome.name}"
    if outcome.body_cut and (error is None or comes_from_disconnect(error)):
        return client_disconnected()
    if error is None:
        return AppProtocolError(f"{where} returned ({outcome.state})")
    if not interrupts(error):
        return error
    if not isinstance(error, CancelledError):
        return _caused_by(error, f"{where} raised {literal(error)}")
    if outcome.timed_out_s is not None:
        option = f"task_timeout_s={outcome.timed_out_s:g}"
        return AppProtocolError(f"{where} took longer than {option} ({outcome.state})")
    if outcome.shut_down:
        return CutByShutdown(f"{outcome.name} was shut down ({outcome.state})")
    return _caused_by(error, f"{where} cancelled itself ({outcome.state})")


def log_error(error: BaseException, outcome: Outcome) -> None:
    """Log an error that cannot be raised to the server any more."""
    name = outcome.name
    if isinstance(error, CancelledError):
        if outcome.timed_out_s is not None:
            repeated.warning("%s was cancelled after task_timeout_s=%g", name, outcome.timed_out_s)
    elif outcome.disconnected and comes_from_disconnect(error):
        logger.debug("%s: the client disconnected: %r", name, error)
    else:
        when = (
            "its client had disconnected" if outcome.disconnected else "its response was complete"
        )
        logger.error("%s failed after %s", name, when, exc_info=error)


def raised_to_server(error: BaseException, name: str, environ: Environ) -> BaseException:
    """The error itself, or what a server handles that would not handle the error.

    :param name: of the app that raised it.
    """
    if isinstance(error, ClientDisconnected) or "asgi.scope" in environ:  # our own adapter's
        return error
    if isinstance(error, OSError):
        # A server treats it as an error of one of its own sockets: it closes the connection without
        # a 500, and often without a line in its log.
        return _caused_by(error, f"{name} raised {type(error).__name__}: {error}", BridgeError)
    if not isinstance(error, Exception) and any(key in environ for key in _ONLY_EXCEPTIONS):
        return _caused_by(error, f"{name} raised {literal(error)}, which is not an Exception")
    return error


def _caused_by(
    cause: BaseException, text: str, kind: type[BridgeError] = AppProtocolError
) -> BridgeError:
    error = kind(text)
    error.__cause__ = cause
    return error


def comes_from_disconnect(error: BaseException | None, causes: int = MAX_CAUSES) -> bool:
    """Whether the app only passes on what ``send`` has raised. Frameworks wrap it in their own
    errors, and task groups in exception groups."""
    if error is None or not causes:
        return False
    if isinstance(error, ClientDisconnected):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(comes_from_disconnect(leaf, causes - 1) for leaf in error.exceptions)
    return comes_from_disconnect(error.__cause__ or error.__context__, causes - 1)

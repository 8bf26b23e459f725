"""A request to a WSGI app on a WSGI server's thread, in a context of its own.

Input: the app and its arguments, on the server thread. Output: its response, which runs in the same
context. A thread of a WSGI server has one context for all its requests, so what an app sets there
would be seen by the next request on the thread, and in a Router by another app.

Rule 1. The context is a copy of the thread's: the app sees what the layers around it have set.
Rule 2. Those layers see what the app has set, until ``close()``.
Rule 3. A list that goes with no variable is returned as it is. So is a ``wsgi.file_wrapper``, which
        the server recognises by its type; what the app has set is not visible outside then.
        Which error Sentry has reported is known on the thread from then on, for the server's log.
Rule 4. The data of asgiref's ``Local`` stays on the thread, as it does without bridge: Django keeps
        the connections of its caches there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any

from bridge._frameworks.sentry import keep_reported
from bridge._threads.asgiref_state import LOCAL_VARIABLES
from bridge._threads.context import ContextOverlay, has_changed
from bridge.types import Environ, StartResponse, WsgiApp

__all__ = ["call_in_own_context"]


def call_in_own_context(
    app: WsgiApp, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Call a PEP 3333 app. Raises what it raises."""
    since, context = copy_context(), copy_context()
    try:
        result = context.run(app, environ, start_response)
    except BaseException:
        keep_reported(context)
        raise
    _keep_locals(context, since)
    kind = type(result)
    if kind is environ.get("wsgi.file_wrapper"):
        return result
    if (kind is list or kind is tuple) and not has_changed(context, since, LOCAL_VARIABLES):
        return result
    response = _Sized if hasattr(result, "__len__") else _Response
    return response(result, context, since)


def _keep_locals(context: Context, since: Context) -> None:
    for variable, value in context.items():
        if since.get(variable) is not value and variable in LOCAL_VARIABLES:
            variable.set(value)


class _Response:
    """What the app has returned; it is iterated and closed in the app's context."""

    def __init__(self, result: Iterable[bytes], context: Context, since: Context) -> None:
        self._result = result
        self._context = context
        self._chunks: Iterator[bytes] | None = None
        self._since = since
        self._overlay = ContextOverlay(since, but=LOCAL_VARIABLES)
        self._overlay.apply(context)

    def __iter__(self) -> Iterator[bytes]:
        self._chunks = self._context.run(iter, self._result)
        return self

    def __next__(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._context.run(iter, self._result)
        try:
            return self._context.run(next, self._chunks)
        except StopIteration:
            self._overlay.apply(self._context)
            raise
        except BaseException:
            keep_reported(self._context)
            raise

    def close(self) -> None:
        """PEP 3333: called once, also after an error."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                self._context.run(close)
        finally:
            _keep_locals(self._context, self._since)
            self._overlay.end()

    def __del__(self) -> None:
        """Dropped without being closed."""
        self._overlay.end()


class _Sized(_Response):
    """Servers take the number of chunks as a hint for Content-Length (PEP 3333)."""

    def __len__(self) -> int:
        result: Any = self._result
        return len(result)

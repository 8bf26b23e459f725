"""Both hooks of a sync middleware in one context, on Django's ASGI handler.

Input: a middleware in use. Output: the same object; its ``process_request`` and
``process_response`` run as the entry and the exit of one context manager. Django's
``MiddlewareMixin`` runs each in a context of its own, so a context variable that the first one sets
cannot be reset by its token in the second. Runs on: the event loop; the hooks on the thread where
`sync_to_async` runs the request's sync code, as in Django, with as many hops.
"""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Any

from django.utils.deprecation import MiddlewareMixin

from bridge.sync.enter import enter_in_threads

__all__ = ["share_context"]


def share_context(middleware: Any) -> None:
    """Let both hooks of ``middleware`` run in one context, if it has both, and Django runs them."""
    if (
        isinstance(middleware, MiddlewareMixin)
        and type(middleware).__acall__ is MiddlewareMixin.__acall__
        and hasattr(middleware, "process_request")
        and hasattr(middleware, "process_response")
    ):
        middleware.__acall__ = partial(_call, middleware)  # type: ignore[method-assign]  # Django calls it on the instance


async def _call(middleware: Any, request: Any) -> Any:
    """As ``MiddlewareMixin.__acall__``."""
    hooks = _Hooks(middleware, request)
    async with enter_in_threads(hooks):
        if not hooks.response:
            hooks.response = await middleware.get_response(request)
    return hooks.response


class _Hooks:
    """:ivar response: what the last hook has returned, or the rest of the chain."""

    def __init__(self, middleware: Any, request: Any) -> None:
        self._middleware = middleware
        self._request = request
        self.response: Any = None

    def __enter__(self) -> None:
        self.response = self._middleware.process_request(self._request)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.response = self._middleware.process_response(self._request, self.response)

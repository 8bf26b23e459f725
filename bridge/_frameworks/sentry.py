"""Looks through Sentry's wrapper of a WSGI response, which produces each chunk in Sentry's scope.

Imports nothing of Sentry, except for a response that Sentry has wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["WRAPPER", "as_sentry_does", "response_within"]

WRAPPER = "_ScopedResponse"
"""The name of its class."""


def response_within(wrapper: Any) -> Any:
    """The response that an object of a class named ``WRAPPER`` wraps; None if it is not Sentry's,
    or of a version that has none there."""
    if type(wrapper).__module__ != "sentry_sdk.integrations.wsgi":
        return None
    return getattr(wrapper, "_response", None) if hasattr(wrapper, "_scope") else None


@contextmanager
def as_sentry_does(wrapper: Any) -> Iterator[None]:
    """What the wrapper does around each chunk: enters the scope of its request, and reports errors.

    On the event loop, in the context of the request.
    """
    import sentry_sdk  # type: ignore[import-not-found,unused-ignore]  # the app has it
    from sentry_sdk.scope import (  # type: ignore[import-not-found,unused-ignore]
        use_isolation_scope,
    )

    with use_isolation_scope(wrapper._scope):
        try:
            yield
        except Exception as error:
            sentry_sdk.capture_exception(error)
            raise

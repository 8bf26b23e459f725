"""What Sentry's SDK does around an app, where it meets what bridge does.

It wraps a WSGI response, whose chunks are produced in a scope of Sentry's. And it remembers in a
context variable which error it has reported last, so that the server's log line for the same error
is no second event.

Imports nothing of Sentry, except for a response that Sentry has wrapped, or where Sentry is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

__all__ = ["WRAPPER", "as_sentry_does", "keep_reported", "response_within"]

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


def keep_reported(context: Context) -> None:
    """Remember in the current context which error has been reported in ``context``, that of an app
    whose error is raised to its server next.

    It is not undone with the other variables of the app: a server logs the error after ``close()``.
    """
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None:
        return
    from sentry_sdk.integrations.dedupe import (  # type: ignore[import-not-found,unused-ignore]
        DedupeIntegration,
    )

    integration = sdk.get_client().get_integration(DedupeIntegration)
    last_seen = getattr(integration, "_last_seen", None)
    if isinstance(last_seen, ContextVar) and last_seen in context:
        last_seen.set(context[last_seen])

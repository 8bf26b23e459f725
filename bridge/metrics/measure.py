"""An app whose requests are counted."""

from __future__ import annotations

from typing import TypeVar

from bridge._observe.observe import observe
from bridge.metrics.process_metrics import process_metrics

__all__ = ["measure"]

A = TypeVar("A")


def measure(app: A) -> A:
    """``app``, with its requests and WebSockets in the metrics of this process.

    The metrics of threads, pools and event loops need no such call. A request that passes several
    measured apps is counted once.

    :param app: WSGI, ASGI, or both, as a :class:`~bridge.Router` is. What is returned has the same
        interface.
    :raises AmbiguousApp: its interface cannot be detected.
    """
    counter = process_metrics().measuring.requests
    return observe(app, access_log=None, request_id=False, observers=[counter])

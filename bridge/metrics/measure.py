"""An app whose requests are counted: in its adapters where it has them, else by a middleware."""

from __future__ import annotations

from typing import Any, TypeVar

from bridge._observe.observed import app_of, observed
from bridge._observe.settings import Settings
from bridge._threads.instances import Instances
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.metrics.process_metrics import process_metrics
from bridge.metrics.requests import RequestCounter
from bridge.router.router import Router
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["leave_adapters", "measure", "record_in_adapters"]

A = TypeVar("A")

_recorded: Instances[AsgiToWsgi | Router | WsgiToAsgi] = Instances()


def measure(app: A) -> A:
    """``app``, with its requests and WebSockets in the metrics of this process.

    The metrics of threads, pools and event loops need no such call. A request that passes several
    measured apps is counted once.

    :param app: WSGI, ASGI, or both, as a :class:`~bridge.Router` is. What is returned has the same
        interface. A Router and an adapter are returned themselves.
    :raises AmbiguousApp: its interface cannot be detected.
    """
    counter = process_metrics().measuring.requests
    if record_in_adapters(app, counter):
        return app
    wrapped: A = observed(app, Settings([counter], skips_counted=True))
    return wrapped


def leave_adapters() -> None:
    """Have no adapter count any more: a middleware does, around all of them."""
    for each in _recorded.alive():
        each.stop_recording()


def record_in_adapters(app: Any, counter: RequestCounter) -> bool:
    """Have the adapters of an app count its requests, and a Router those of its other mounts.

    :param app: what a server calls, or a mount.
    :returns: False: it is neither of these.
    """
    inner = app_of(app)
    if isinstance(inner, (AsgiToWsgi, Router, WsgiToAsgi)):
        _recorded.add(inner)
    if type(inner) is WsgiToAsgi:
        if inner.crossings is None:
            inner.record_crossings(counter.to_asgi_crossings)
    elif type(inner) is AsgiToWsgi:
        if inner.crossings is None:
            inner.record_crossings(counter.to_wsgi_crossings())
    elif isinstance(inner, Router):
        if not inner.is_recorded:
            settings = Settings([counter], skips_counted=True)
            inner.record_crossings(counter.to_asgi_crossings, counter.to_wsgi_crossings, settings)
    else:
        return False
    return True

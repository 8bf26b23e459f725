""":func:`observe`: the public way to record, log and mark the requests of an app. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from bridge._observe.access_log import FORMATS, AccessLog, LineFormat
from bridge._observe.observed import observed
from bridge._observe.record import Observer
from bridge._observe.settings import Settings
from bridge.config import boolean, check_names
from bridge.errors import ConfigError

__all__ = ["AccessLogFormat", "ObserveKeywords", "observe", "settings_of"]

AccessLogFormat = Literal["text", "json"]
A = TypeVar("A")


class ObserveKeywords(TypedDict, total=False):
    """The types of the options of :func:`observe`."""

    access_log: AccessLogFormat | LineFormat | None
    request_id: bool
    request_start: bool
    server_timing: bool
    observers: Sequence[Observer]


def observe(app: A, **options: Unpack[ObserveKeywords]) -> A:
    """Log each request of ``app``, with its times, and give it an id.

    ::

        app = bridge.observe(bridge.to_asgi(flask_app))        # uvicorn main:app
        app = bridge.observe(bridge.to_wsgi(fastapi_app))      # gunicorn main:app
        app = bridge.observe(bridge.Router({"/": flask_app, "/api": fastapi_app}))

    The result has the interface, or both interfaces, of ``app``, and should be what the server
    calls: what is inside an adapter does not see its queue. The record of a request is
    ``scope["bridge.request"]`` and ``environ["bridge.request"]``, and :func:`current_request`
    returns it.

    :param app: a WSGI app, an ASGI app, a Router, or an adapter.
    :param access_log: logs a line for each request to the logger ``bridge.access``, at INFO, when
        it has ended: ``"text"`` (the default), ``"json"``, or a callable
        ``(RequestRecord) -> str``. None logs nothing.
    :param request_id: whether each request has an ``X-Request-ID``, in the request that the app
        gets and in its response. That of the client, or the proxy, is kept if it has 1 to 128 of
        the characters ``A-Z a-z 0-9 - . _ : / + = @``; else a new one is made. True by default.
    :param request_start: whether the ``X-Request-Start`` of a proxy is read, and the time since
        counted into the queue time. Only where a proxy sets it: a client could send any.
        False by default.
    :param server_timing: whether responses get a ``Server-Timing``, which browsers show: the times
        in the queue, on the thread and in total, until the response begins. Everyone can read it.
        False by default.
    :param observers: objects with ``started(record)`` and ``ended(record)``, called once each for
        every request, on the thread that serves it: they must not block. What they raise is logged.
    :returns: the app to serve. Its original is its attribute ``app``.
    :raises AmbiguousApp: the interface of ``app`` cannot be detected.
    :raises ConfigError: an option is wrong.
    """
    wrapped: A = observed(app, settings_of(options))
    return wrapped


def settings_of(options: ObserveKeywords) -> Settings:
    """The checked options.

    :raises ConfigError: an option is wrong.
    """
    check_names(options, ObserveKeywords.__annotations__)
    observers: list[Any] = []
    access_log = options.get("access_log", "text")
    if access_log is not None:
        observers.append(AccessLog(_line_format(access_log)))
    flags = {"request_id": True, "request_start": False, "server_timing": False}
    for name in flags:
        flags[name] = options.get(name, flags[name])  # type: ignore[assignment]  # checked here
        boolean(name, flags[name])
    observers += _checked(options.get("observers", ()))
    different = [each for n, each in enumerate(observers) if each not in observers[:n]]
    return Settings(tuple(different), **flags)


def _line_format(value: Any) -> LineFormat:
    if isinstance(value, str) and value in FORMATS:
        return FORMATS[value]
    if callable(value):
        line: LineFormat = value
        return line
    raise ConfigError(
        "access_log", value, "None, 'text', 'json' or a callable (RequestRecord) -> str"
    )


def _checked(observers: Any) -> Sequence[Observer]:
    takes = "a list of objects with the methods started(record) and ended(record)"
    if not isinstance(observers, (list, tuple)):
        raise ConfigError("observers", observers, takes)
    for each in observers:
        methods = (getattr(each, name, None) for name in ("started", "ended"))
        if isinstance(each, type) or not all(map(callable, methods)):
            raise ConfigError("observers", observers, takes)
    return observers

"""The spans that bridge adds to a trace. On the thread, and in the context, of the app.

Rule 1. A span is added to a trace, and never begins one: where no span is current that is recorded,
        none is made. So the span of the server or of the framework stays the root.
Rule 2. The instrumentation of the framework records an exception. Here a span only gets the status
        and the attribute ``error.type``.
Rule 3. A span cannot fail a request: what a sampler or a span processor raises is logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from bridge._repeated_log import RepeatedLog
from bridge._version import __version__

__all__ = ["LOOP", "THREAD", "add_wait", "mark_failed", "name_of", "running", "use_provider"]

logger = logging.getLogger("bridge.otel")
repeated = RepeatedLog(logger)

QUEUE = "bridge.queue"
THREAD = "bridge.thread"
LOOP = "bridge.loop"

_tracer: Tracer = trace.NoOpTracer()


def use_provider(provider: TracerProvider | None) -> None:
    """Make the spans with a provider; None is the global one, whenever that is set."""
    global _tracer
    _tracer = trace.get_tracer("bridge", __version__, provider)


def add_wait(
    posted_at: float,
    error: BaseException | None = None,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Add the span of a wait that ends now.

    :param posted_at: ``time.monotonic()`` when it began.
    :param error: why it was in vain.
    :param attributes: of the span, which belong to what has waited.
    """
    if not trace.get_current_span().is_recording():
        return
    now_ns = time.time_ns()
    waited_ns = int((time.monotonic() - posted_at) * 1e9)
    span = _started(QUEUE, attributes, now_ns - waited_ns)
    if span is None:
        return
    if error is not None:
        mark_failed(span, error)
    _end(span, now_ns)


@contextmanager
def running(name: str, attributes: Mapping[str, str] | None = None) -> Iterator[Span | None]:
    """The span of what runs on this thread, current meanwhile; None if none is made: rule 1.

    :param attributes: of the span, besides those of the thread.
    """
    if not trace.get_current_span().is_recording():
        yield None
        return
    thread = threading.current_thread()
    of_thread: dict[str, str | int] = {"thread.id": thread.ident or 0, "thread.name": thread.name}
    span = _started(name, {**of_thread, **(attributes or {})})
    if span is None:
        yield None
        return
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    finally:
        _end(span)


def _started(
    name: str, attributes: Mapping[str, str | int] | None, start_ns: int | None = None
) -> Span | None:
    try:
        return _tracer.start_span(name, attributes=attributes, start_time=start_ns)
    except Exception:
        repeated.exception("a span could not be started")
        return None


def _end(span: Span, end_ns: int | None = None) -> None:
    try:
        span.end(end_ns)
    except Exception:
        repeated.exception("a span could not be ended")


def mark_failed(span: Span, error: BaseException) -> None:
    """Set the status of a span: rule 2."""
    span.set_attribute("error.type", name_of(type(error)).removeprefix("builtins."))
    span.set_status(Status(StatusCode.ERROR))


def name_of(function_or_class: object) -> str:
    """Its full name; for an object without one, such as a ``functools.partial``, of its class."""
    has_name = hasattr(function_or_class, "__qualname__")
    named: Any = function_or_class if has_name else type(function_or_class)
    return f"{named.__module__}.{named.__qualname__}"

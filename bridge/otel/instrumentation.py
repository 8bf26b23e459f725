"""Switches the spans on and off, by call or with the command ``opentelemetry-instrument``."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import TracerProvider

from bridge.asgi_to_wsgi.loop_side import LoopSide
from bridge.config import boolean
from bridge.errors import ConfigError
from bridge.otel.sides import TracedCall, TracedLoopSide, TracedThreadSide
from bridge.otel.spans import use_provider
from bridge.sync.calls import Call
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["BridgeInstrumentor", "instrument", "uninstrument"]


def instrument(tracer_provider: TracerProvider | None = None, *, sync_calls: bool = False) -> None:
    """Make spans for the requests of all adapters of this process, those of Routers included.

    A request in a trace gets two spans, children of the span that is current around the adapter:

    - ``bridge.queue``: it waits for a thread (:func:`~bridge.to_asgi`), or for the event loop
      (:func:`~bridge.to_wsgi`). If it is refused with 503 after a wait, the status is an error.
    - ``bridge.thread``: the WSGI app runs on a thread, until it has closed its response or left the
      rest of it to the event loop. Or ``bridge.loop``: the ASGI app runs, until it has returned,
      its background tasks included. Current in the app, with the attributes ``thread.id`` and
      ``thread.name``.

    An exception that leaves the app sets the status and ``error.type``; it is recorded by the
    instrumentation of the framework. No span is made outside of a trace, or in one that is not
    sampled. Without this function requests are one trace as well, and it costs nothing.

    From any thread, at any time; requests that have arrived before get no spans. Calling it again
    replaces the provider.

    :param tracer_provider: makes the spans. None: the global provider, also if it is set later.
    :param sync_calls: make both spans, with ``code.function.name``, for each call of
        :func:`~bridge.sync_to_async` as well: how long it waits for its thread, and runs.
    :raises ConfigError: an argument is wrong.
    """
    if tracer_provider is not None and not isinstance(tracer_provider, TracerProvider):
        raise ConfigError(
            "tracer_provider", tracer_provider, "None or an opentelemetry.trace.TracerProvider"
        )
    boolean("sync_calls", sync_calls)
    use_provider(tracer_provider)
    ThreadSide.made_as = TracedThreadSide
    LoopSide.made_as = TracedLoopSide
    Call.made_as = TracedCall if sync_calls else Call


def uninstrument() -> None:
    """Make no spans for the requests that arrive from now on. From any thread, at any time."""
    ThreadSide.made_as = ThreadSide
    LoopSide.made_as = LoopSide
    Call.made_as = Call


class BridgeInstrumentor:
    """bridge's entry point for the command ``opentelemetry-instrument``, with the methods of
    ``BaseInstrumentor``: it calls :func:`instrument`.

    ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=bridge`` leaves it out.
    """

    def instrument(self, **options: Any) -> None:
        """:param options: ``tracer_provider``. Others are those of all instrumentations."""
        instrument(options.get("tracer_provider"))

    def uninstrument(self, **options: Any) -> None:
        """:param options: without effect."""
        uninstrument()

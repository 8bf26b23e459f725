"""The sides of a request that run the app, with spans: used in place of their bases while
:func:`bridge.otel.instrument` is in effect.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from opentelemetry.trace import Span

from bridge.asgi_to_wsgi.loop_side import LoopSide
from bridge.otel.spans import LOOP, THREAD, add_wait, mark_failed, running
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["TracedLoopSide", "TracedThreadSide"]


class TracedThreadSide(ThreadSide):
    """A request to a WSGI app: the wait for a thread, and the time on it, ``close()`` included."""

    __slots__ = ()

    def run(self) -> None:
        self.context.run(add_wait, self.posted_at)
        super().run()

    def refuse(self, error: BaseException) -> None:
        self.context.run(add_wait, self.posted_at, error)
        super().refuse(error)

    def _serve(self) -> None:
        with running(THREAD) as span:
            super()._serve()
            if span is not None and self.error is not None:
                mark_failed(span, self.error)


class TracedLoopSide(LoopSide):
    """A request to an ASGI app: the wait for the loop, and the time until the app has returned."""

    _span: Span | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._posted_at = monotonic()

    async def _run(self) -> None:
        add_wait(self._posted_at)
        with running(LOOP) as self._span:
            await super()._run()

    def _end_task(self, error: BaseException | None) -> None:
        if self._span is not None and error is not None:
            mark_failed(self._span, error)
        super()._end_task(error)

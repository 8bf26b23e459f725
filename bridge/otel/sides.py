"""What runs an app or a function, with spans. Made in place of its base while
:func:`bridge.otel.instrument` is in effect.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from opentelemetry.trace import Span

from bridge.asgi_to_wsgi.loop_side import LoopSide
from bridge.otel.spans import LOOP, THREAD, add_wait, mark_failed, name_of, running
from bridge.sync.calls import Call
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["TracedCall", "TracedLoopSide", "TracedThreadSide"]


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

    async def _run(self) -> None:
        add_wait(self.posted_at)
        with running(LOOP) as self._span:
            await super()._run()

    def _end_task(self, error: BaseException | None) -> None:
        if self._span is not None and error is not None:
            mark_failed(self._span, error)
        super()._end_task(error)


class TracedCall(Call):
    """A call of a sync function: the wait for its thread, and the time on it."""

    __slots__ = ()

    def __init__(self, func: Callable[..., Any], *args: Any) -> None:
        super().__init__(_TracedFunction(func), *args)


class _TracedFunction:
    """Made where it is posted, called on the thread."""

    __slots__ = ("_func", "_posted_at")

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self._posted_at = monotonic()

    def __repr__(self) -> str:
        return repr(self._func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = {"code.function.name": name_of(self._func)}
        add_wait(self._posted_at, attributes=name)
        with running(THREAD, name) as span:
            try:
                return self._func(*args, **kwargs)
            except BaseException as error:
                if span is not None:
                    mark_failed(span, error)
                raise

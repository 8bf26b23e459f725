"""A job on somebody else's executor, which may drop it unrun.

What enters: jobs, from any thread. What leaves: the same jobs, to the executor; and, to the job,
the news that it will never run: the executor was shut down with ``cancel_futures``, or its
``initializer`` failed. Only the future that ``submit`` returns knows of that.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any, Protocol

__all__ = ["submit", "tell_if_dropped"]


class Droppable(Protocol):
    """A job that can be told why it does not run."""

    def run(self) -> None:
        """Run on the executor's thread. Must not raise."""

    def discard(self, error: BaseException) -> None:
        """Called instead of :meth:`run`, on any thread."""


def submit(executor: Executor, job: Droppable) -> None:
    """Run ``job`` on ``executor``, or discard it when that drops it. Never blocks.

    :raises RuntimeError: the executor takes no more jobs.
    """
    tell_if_dropped(job, executor.submit(job.run))


def tell_if_dropped(job: Droppable, future: Future[Any]) -> None:
    """Discard ``job`` if ``future``, which is that of its :meth:`~Droppable.run`, ends without it.

    As through ``loop.run_in_executor``, who waits for a cancelled job is cancelled.
    """
    future.add_done_callback(partial(_look, job))


def _look(job: Droppable, future: Future[Any]) -> None:
    try:
        error = future.exception()
    except CancelledError:
        error = asyncio.CancelledError()
    if error is not None:
        job.discard(error)

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

__all__ = ["submit", "why_dropped"]


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
    executor.submit(job.run).add_done_callback(partial(_look, job))


def _look(job: Droppable, future: Future[Any]) -> None:
    error = why_dropped(future)
    if error is not None:
        job.discard(error)


def why_dropped(future: Future[Any]) -> BaseException | None:
    """What to tell who waits for a job whose ``future`` is done; None: it has run.

    As through ``loop.run_in_executor``, who waits for a cancelled job is cancelled.
    """
    try:
        return future.exception()
    except CancelledError:
        return asyncio.CancelledError()

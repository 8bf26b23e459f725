"""Log lines for what every request may repeat: an overload, no more threads, a client that stops.

The first occurrence is logged at once, and then one every ``INTERVAL_S``, with the number of those
in between. So a log shows that something happens, and how often, but does not fill a disk with it.
An exception of an app is not logged through this: each has its traceback.

From any thread, without a lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import count

__all__ = ["INTERVAL_S", "RepeatedLog"]

INTERVAL_S = 10.0


class RepeatedLog:
    """A logger, for lines that are repeated. Each message, before formatting, is counted by itself.

    :param logger: gets the lines.
    :param clock: returns seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    def info(self, message: str, *args: object) -> None:
        """As :meth:`logging.Logger.info`."""
        self._log(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """As :meth:`logging.Logger.warning`."""
        self._log(logging.WARNING, message, args)

    def exception(self, message: str, *args: object) -> None:
        """As :meth:`logging.Logger.exception`."""
        self._log(logging.ERROR, message, args, with_traceback=True)

    def _log(
        self, level: int, message: str, args: tuple[object, ...], *, with_traceback: bool = False
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        line = self._lines.get(message)
        if line is None:
            line = self._lines.setdefault(message, _Line())
        skipped = line.occur(self._clock())
        if skipped is None:
            return
        if skipped:
            message += " (and %d more like this since the last such line)"
            args = (*args, skipped)
        # The record names the code that has called info(), warning() or exception().
        self._logger.log(level, message, *args, exc_info=with_traceback or None, stacklevel=3)


class _Line:
    """How often one message has occurred, and when it was logged."""

    __slots__ = ("_counter", "_due_at", "_logged")

    def __init__(self) -> None:
        self._counter = count(1)  # next() is atomic
        self._logged = 0
        self._due_at: float | None = None

    def occur(self, now: float) -> int | None:
        """Count one occurrence.

        :returns: how many were not logged before it; None if this one is not logged either.
        """
        occurrence = next(self._counter)
        if self._due_at is not None and now < self._due_at:
            return None
        self._due_at = now + INTERVAL_S
        skipped = max(0, occurrence - 1 - self._logged)
        self._logged = occurrence
        return skipped

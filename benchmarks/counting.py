"""Counts what one warm request does, and compares the counts with those recorded in a JSON file.

Shared by `benchmarks.in_process` and `benchmarks.request_path`. Counts depend on the code and on
the Python version, not on the machine or on time. Scheduling can only add to them, so the lowest
counts of many requests are what a request needs.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.requests_in_process import Case

__all__ = ["VERSION", "Baseline", "Counts", "Tracer", "hooked", "trace_requests"]

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
WARM_UP = 5
POLL_S = 0.001
STILL_POLLS = 3

Counts = dict[str, int]
"""The counts of one request, by name."""

T = TypeVar("T")


class Tracer(ABC, Generic[T]):
    """Observes every thread that starts while it is installed, and the thread that installs it."""

    @abstractmethod
    def installed(self) -> AbstractContextManager[None]:
        """Observe for the duration of the block."""

    @abstractmethod
    def progress(self) -> int:
        """A number that rises with everything that a thread does."""

    @abstractmethod
    def take(self) -> T:
        """Return what was observed since the last call, and start again."""


def trace_requests(case: Case, tracer: Tracer[T], repeats: int) -> list[T]:
    """Warm up, then return what the tracer observed in each of ``repeats`` requests."""
    observed = []
    with tracer.installed(), case() as send_requests:
        send_requests(WARM_UP)
        _wait_until_still(tracer)
        tracer.take()
        for _ in range(repeats):
            send_requests(1)
            _wait_until_still(tracer)
            observed.append(tracer.take())
    return observed


@contextmanager
def hooked(
    hook: object, get: Callable[[], object], *setters: Callable[..., None]
) -> Iterator[None]:
    """Install a trace or profile function in this thread and in new ones, then restore it."""
    before = get()
    for setter in setters:
        setter(hook)
    try:
        yield
    finally:
        for setter in setters:
            setter(before)


def _wait_until_still(tracer: Tracer[T]) -> None:
    """Wait for the worker threads, which have steps left to do after the response."""
    timer = threading.Event()
    last, still = -1, 0
    while still < STILL_POLLS:
        timer.wait(POLL_S)  # polling: a thread that blocks sends no notification
        now = tracer.progress()
        still = still + 1 if now == last else 0
        last = now


class Baseline:
    """Recorded counts in a JSON file: by Python version, by case, by name.

    :param command: records the counts; for messages.
    :param tolerance: the highest accepted ratio of a count to the recorded one.
    """

    def __init__(self, file: Path, command: str, tolerance: float) -> None:
        self.file, self.command, self.tolerance = file, command, tolerance

    def read(self) -> dict[str, dict[str, Counts]]:
        if not self.file.exists():
            return {}
        recorded: dict[str, dict[str, Counts]] = json.loads(self.file.read_text("utf-8"))
        return recorded

    def write(self, found: dict[str, Counts]) -> None:
        """Replace the counts of this Python version."""
        recorded = {**self.read(), VERSION: found}
        self.file.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", "utf-8")

    def check(self, found: dict[str, Counts]) -> int:
        """Print which counts are worse than recorded.

        :returns: the exit code: 1 if any is.
        """
        recorded = self.read().get(VERSION)
        if recorded is None:
            print(f"no counts are recorded for Python {VERSION}: run {self.command} --write")
            return 0
        problems = [
            f"{name}: {problem}"
            for name, counts in found.items()
            for problem in self.compare(counts, recorded.get(name, {}))
        ]
        print("\n".join(problems) or "no count exceeds its limit")
        return 1 if problems else 0

    def compare(self, now: Counts, before: Counts) -> list[str]:
        """:returns: the counts of one case that have risen, or are no longer counted at all."""
        problems = []
        for key, old in before.items():
            name, new = key.replace("_", "-"), now[key]
            if new > old * self.tolerance:
                problems.append(f"{name} rose from {old} to {new}")
            elif old and not new:
                problems.append(f"{name} fell from {old} to 0: they are no longer counted")
        return problems

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
        """Add ``--check`` and ``--write`` as alternatives; the caller may add more."""
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--check", action="store_true", help="fail if a count exceeds the recorded one"
        )
        group.add_argument(
            "--write", action="store_true", help="record the counts for this Python version"
        )
        return group

"""Writes two lines of JSON for each test, at its start and at its end.

The file survives the end of the process in the middle of a test: whoever starts the suite sees
which test that was, and can start it again for the tests after it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .adapters import crossings

__all__ = ["OUTCOMES", "Recorder", "finished_tests"]

OUTCOMES = "BRIDGE_SUITES_OUTCOMES"
"""The environment variable with the path of the file."""


def finished_tests() -> set[str]:
    """The tests that an earlier process has begun."""
    lines = Path(os.environ[OUTCOMES]).read_text("utf-8").splitlines()
    return {json.loads(line)["test"] for line in lines}


class Recorder:
    """Collects the outcomes of the phases, or of the subtests, of one test after another."""

    def __init__(self) -> None:
        self._test = ""
        self._outcome = "passed"
        self._crossings_before = 0

    def begin(self, test: str) -> None:
        """A test starts."""
        self._test = test
        self._outcome = "passed"
        self._crossings_before = crossings()
        self._write("hangs")

    def failed(self) -> None:
        """A phase or a subtest of the test has failed."""
        self._outcome = "failed"

    def skipped(self) -> None:
        """A phase or a subtest of the test was skipped, or failed as it is expected to."""
        if self._outcome == "passed":
            self._outcome = "skipped"

    def end(self) -> None:
        """The test is over."""
        self._write(self._outcome)

    def _write(self, outcome: str) -> None:
        crossed = crossings() > self._crossings_before
        record = {"test": self._test, "outcome": outcome, "crossed": crossed}
        with open(os.environ[OUTCOMES], "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

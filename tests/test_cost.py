"""What a request costs, counted: Python's instructions and hand-overs between threads, no seconds.

What enters: ``benchmarks/in_process.json``, the counts of each Python version as recorded. What
leaves: a failure that names the request and both counts, where one rose by more than a tenth.
The counting is done in a process of its own, in which no other test has left a thread.

After a change that is worth its cost: ``python -m benchmarks.in_process --write``, on each version.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.in_process import BASELINE, VERSION, Counts, compare
from benchmarks.requests_in_process import cases
from tests.harness.servers import ROOT

TIMEOUT_S = 200


@pytest.mark.skipif(VERSION not in json.loads(BASELINE.read_text("utf-8")), reason="not recorded")
def test_no_request_costs_a_tenth_more_than_was_recorded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.in_process", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kind_of_request_is_recorded_for_each_python() -> None:
    known = json.loads(BASELINE.read_text("utf-8"))

    assert {version: set(counts) for version, counts in known.items()} == {
        version: set(cases) for version in ("3.11", "3.12", "3.13")
    }


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Counts(1100, 2), None),
        (Counts(900, 1), None),
        (Counts(1101, 2), "hello: instructions rose from 1000 to 1101"),
        (Counts(1000, 3), "hello: hand-overs rose from 2 to 3"),
    ],
)
def test_more_than_a_tenth_is_told(now: Counts, said: str | None) -> None:
    assert compare("hello", now, Counts(1000, 2)) == said

"""The cost of a request, counted: instructions, hand-overs between threads, and switches of files.

Compares the counts of this Python version with those recorded in ``benchmarks/in_process.json`` and
``benchmarks/request_path.json``. No test here depends on time. Each module counts in a new process,
which has no threads of other tests.

After a change that is worth its cost, record the new counts on each Python version:
``python -m benchmarks.in_process --write`` and ``python -m benchmarks.request_path --write``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import in_process, request_path
from benchmarks.counting import VERSION, Baseline, Counts
from benchmarks.request_path import Call, RequestPath, Return
from benchmarks.requests_in_process import CASES
from tests.harness.servers import ROOT

TIMEOUT_S = 200

BASELINES = {
    "benchmarks.in_process": (in_process.BASELINE, CASES),
    "benchmarks.request_path": (request_path.BASELINE, request_path.TRACED_CASES),
}


@pytest.mark.parametrize("module", BASELINES)
def test_no_count_is_worse_than_recorded(module: str) -> None:
    if VERSION not in BASELINES[module][0].read():
        pytest.skip(f"no counts are recorded for Python {VERSION}")

    done = subprocess.run(
        [sys.executable, "-m", module, "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_metrics_cost_less_than_a_hundredth_of_an_empty_view() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.metrics_cost", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", BASELINES)
def test_every_case_is_recorded_for_each_python(module: str) -> None:
    baseline, cases = BASELINES[module]

    for version, counts in baseline.read().items():
        assert set(counts) == set(cases), version


@pytest.mark.parametrize(
    ("now", "problems"),
    [
        ({"instructions": 1100, "hand_overs": 2}, []),
        ({"instructions": 900, "hand_overs": 1}, []),
        ({"instructions": 1101, "hand_overs": 2}, ["instructions rose from 1000 to 1101"]),
        ({"instructions": 1000, "hand_overs": 3}, ["hand-overs rose from 2 to 3"]),
        (
            {"instructions": 900, "hand_overs": 0},
            ["hand-overs fell from 2 to 0: they are no longer counted"],
        ),
    ],
)
def test_more_than_a_tenth_is_reported(now: Counts, problems: list[str]) -> None:
    recorded = {"instructions": 1000, "hand_overs": 2}

    assert in_process.BASELINE.compare(now, recorded) == problems


def test_one_more_switch_is_reported() -> None:
    assert request_path.BASELINE.compare({"switches": 35}, {"switches": 34}) == [
        "switches rose from 34 to 35"
    ]


def test_writing_counts_keeps_those_of_other_python_versions(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "counts.json", "python -m counts", 1.0)
    baseline.file.write_text('{"2.7": {"hello": {"switches": 1}}}')

    baseline.write({"hello": {"switches": 2}})

    assert baseline.read() == {
        "2.7": {"hello": {"switches": 1}},
        VERSION: {"hello": {"switches": 2}},
    }


def test_every_function_that_counts_as_a_hand_over_exists() -> None:
    """Otherwise a rename would make the benchmark count no hand-overs."""
    assert len(in_process.hand_over_functions()) == len(in_process.HAND_OVERS)


def test_switches_are_counted_on_each_thread_and_summed() -> None:
    path = RequestPath(
        {
            "loop": [Call("a.py", "f"), Call("b.py", "g"), Return(), Call("a.py", "f")],
            "worker": [Call("b.py", "g"), Call("b.py", "h")],
        }
    )

    assert path.counts() == {"switches": 2, "files": 2, "functions": 3, "calls": 5}


def test_a_tree_is_indented_by_depth() -> None:
    path = RequestPath({"1 (main)": [Return(), Call("a.py", "f"), Call("b.py", "g"), Return()]})

    assert path.tree().splitlines() == ["thread 1 (main)", "  a.py  f", "    b.py  g"]

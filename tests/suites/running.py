"""Runs one suite in a process of its own, and reads the outcome of each test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.suites.fetching import Suite
from tests.suites.projects import Project

__all__ = ["THROUGH", "Outcome", "Outcomes", "Through", "run"]

ROOT = Path(__file__).parents[2]
PLUGINS = Path(__file__).with_name("plugins")
SUITE_TIMEOUT_S = 1800
TEST_TIMEOUT_S = 30

Through = Literal["nothing", "bridge", "a2wsgi"]
THROUGH: tuple[Through, ...] = ("nothing", "bridge", "a2wsgi")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test went.

    :ivar outcome: ``passed``, ``failed``, ``skipped``, or ``hangs`` where the process had to be
        ended.
    :ivar crossed: a request of the test went through the crossing.
    """

    outcome: str
    crossed: bool


Outcomes = Mapping[str, Outcome]
"""Test id, as the suite's runner writes it -> outcome."""


def run(
    project: Project, suite: Suite, through: Through, log: Path, *, without: Iterable[str] = ()
) -> Outcomes:
    """Run the suite; after a test that hangs, run the rest of it.

    :param log: where the runner's output goes.
    :param without: tests that are not run.
    """
    left_out = set(without)
    with tempfile.TemporaryDirectory() as scratch, log.open("w", encoding="utf-8") as output:
        records = Path(scratch, "outcomes.jsonl")
        done = [{"test": test, "outcome": "left out", "crossed": False} for test in left_out]
        records.write_text("".join(json.dumps(each) + "\n" for each in done), "utf-8")
        hanging, hanging_before = 0, -1
        while hanging > hanging_before:
            _run_once(project, suite, through, records, output.fileno())
            outcomes = _read(records)
            hanging_before = hanging
            hanging = sum(each.outcome == "hangs" for each in outcomes.values())
    return {test: each for test, each in outcomes.items() if test not in left_out}


def _run_once(project: Project, suite: Suite, through: Through, records: Path, output: int) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(PLUGINS),
        "PYTHONHASHSEED": "0",  # some suites make test ids from sets
        "BRIDGE_SUITES_ROOT": str(ROOT),
        "BRIDGE_SUITES_THROUGH": through,
        "BRIDGE_SUITES_CLIENT": project.client,
        "BRIDGE_SUITES_OUTCOMES": str(records),
    }
    process = subprocess.Popen(
        [suite.python, "-m", project.runner, *_options(project), *project.arguments],
        cwd=suite.folder / project.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        process.wait(SUITE_TIMEOUT_S)  # the records say what has failed
    finally:
        with suppress(ProcessLookupError):  # also servers that a test has left behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(records: Path) -> dict[str, Outcome]:
    """The last record of each test."""
    found = [json.loads(line) for line in records.read_text("utf-8").splitlines()]
    return {each["test"]: Outcome(each["outcome"], each["crossed"]) for each in found}


def _options(project: Project) -> list[str]:
    if project.runner != "pytest":
        return []
    return [
        *("-p", "bridge_suites.pytest_plugin"),
        *("-p", "no:cacheprovider"),
        *("--timeout", str(TEST_TIMEOUT_S), "--timeout-method", "thread"),
        *("-q", "--tb=native"),
    ]

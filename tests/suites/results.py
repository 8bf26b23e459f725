"""The numbers of the last run of each suite, in ``results.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.suites.differences import differing
from tests.suites.running import Outcomes

__all__ = ["RESULTS", "Result", "read_results", "result", "write_result"]

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Result:
    """One suite. Tests that are skipped, or known to be flaky, are not counted.

    :ivar version: of the project.
    :ivar tests: how many were run.
    :ivar crossed: how many send a request through the crossing.
    :ivar bare: how many pass without one. The other numbers are of these.
    :ivar bridge: how many pass through bridge.
    :ivar a2wsgi: how many pass through a2wsgi.
    """

    version: str
    tests: int
    crossed: int
    bare: int
    bridge: int
    a2wsgi: int


def result(version: str, bare: Outcomes, bridge: Outcomes, a2wsgi: Outcomes) -> Result:
    """The numbers of one suite, of the tests in ``bare``."""
    passed = {test for test, outcome in bare.items() if outcome.outcome == "passed"}
    return Result(
        version=version,
        tests=sum(outcome.outcome != "skipped" for outcome in bare.values()),
        crossed=sum(bridge[test].crossed for test in passed & set(bridge)),
        bare=len(passed),
        bridge=len(passed - differing(bare, bridge)),
        a2wsgi=len(passed - differing(bare, a2wsgi)),
    )


def read_results() -> dict[str, Result]:
    """Project, as in ``PROJECTS`` -> result."""
    if not RESULTS.exists():
        return {}
    return {name: Result(**each) for name, each in json.loads(RESULTS.read_text("utf-8")).items()}


def write_result(name: str, result: Result) -> None:
    """Put the result of one project into the file."""
    results = {**read_results(), name: result}
    text = json.dumps({name: asdict(each) for name, each in results.items()}, indent=2)
    RESULTS.write_text(text + "\n", "utf-8")

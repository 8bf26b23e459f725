"""Compares a suite through the bridge with the same suite without, and with the known differences.

``differences.toml`` has them: tables ``[[difference]]`` and ``[[flaky]]``, each with a project, a
reason and the ids of tests. A difference is a test that passes without the crossing and does not
pass through it. A flaky test is left out of everything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.suites.running import Outcomes

__all__ = [
    "KNOWN",
    "Known",
    "differing",
    "known_differences",
    "known_flaky",
    "new_differences",
    "unexpected",
]

KNOWN = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True, slots=True)
class Known:
    """Tests that have one reason in common.

    :ivar project: a key of ``PROJECTS``.
    """

    project: str
    reason: str
    tests: frozenset[str]


def known_differences(project: str) -> list[Known]:
    """The differences of a project that are allowed, and have to be there."""
    return _known("difference", project)


def known_flaky(project: str) -> list[Known]:
    """The tests of a project that pass or fail by chance."""
    return _known("flaky", project)


def _known(kind: str, project: str) -> list[Known]:
    tables = tomllib.loads(KNOWN.read_text("utf-8")).get(kind, [])
    return [
        Known(table["project"], table["reason"], frozenset(table["tests"]))
        for table in tables
        if table["project"] == project
    ]


def differing(bare: Outcomes, through: Outcomes) -> set[str]:
    """The tests that pass without the crossing and do not pass through it."""
    return {
        test
        for test, outcome in bare.items()
        if outcome.outcome == "passed"
        and (test not in through or through[test].outcome != "passed")
    }


def new_differences(project: str, bare: Outcomes, through: Outcomes) -> set[str]:
    """The differing tests that are not in the list."""
    known = [*known_differences(project), *known_flaky(project)]
    return differing(bare, through) - {test for each in known for test in each.tests}


def unexpected(project: str, bare: Outcomes, through: Outcomes) -> Iterator[str]:
    """What is wrong with the list, or with bridge, in one line each."""
    if not any(outcome.crossed for outcome in through.values()):
        yield "no test has sent a request through the crossing"
    for test in sorted(new_differences(project, bare, through)):
        how = through[test].outcome if test in through else "is missing"
        yield f"new difference: {test} {how}"
    differs = differing(bare, through)
    for test in sorted(test for known in known_differences(project) for test in known.tests):
        if test in bare and test not in differs:
            passes = "passes" if bare[test].outcome == "passed" else "does not pass bare either"
            yield f"listed, but {passes}: {test}"
    known = [*known_differences(project), *known_flaky(project)]
    for test in sorted({test for each in known for test in each.tests} - set(bare)):
        yield f"listed, but there is no such test: {test}"

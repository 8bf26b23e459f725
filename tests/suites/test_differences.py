"""The comparison names what is new, and what the list has and should not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites import differences
from tests.suites.differences import unexpected
from tests.suites.projects import PROJECTS
from tests.suites.results import result
from tests.suites.running import Outcome, Outcomes

LIST = """
[[difference]]
project = "flask"
reason = "It cannot work."
tests = ["test_known"]

[[flaky]]
project = "flask"
reason = "It works by chance."
tests = ["test_chance"]

[[difference]]
project = "django"
reason = "Another project's."
tests = ["test_of_django"]
"""


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(LIST, "utf-8")
    monkeypatch.setattr(differences, "KNOWN", path)


def outcomes(**changed: str) -> Outcomes:
    """Of a suite whose tests all pass, but for these."""
    names = dict.fromkeys(["test_plain", "test_known", "test_chance"], "passed")
    return {name: Outcome(each, crossed=True) for name, each in {**names, **changed}.items()}


BARE = outcomes()
AS_KNOWN = outcomes(test_known="failed")


@pytest.mark.parametrize("chance", ["passed", "failed", "hangs"])
def test_known_differences_and_flaky_tests_are_expected(chance: str) -> None:
    through = outcomes(test_known="failed", test_chance=chance)

    assert list(unexpected("flask", BARE, through)) == []


@pytest.mark.parametrize("outcome", ["failed", "skipped", "hangs"])
def test_a_new_difference_is_named(outcome: str) -> None:
    through = outcomes(test_known="failed", test_plain=outcome)

    assert list(unexpected("flask", BARE, through)) == [f"new difference: test_plain {outcome}"]


def test_a_test_that_is_gone_is_named() -> None:
    through = {name: each for name, each in AS_KNOWN.items() if name != "test_plain"}

    assert list(unexpected("flask", BARE, through)) == ["new difference: test_plain is missing"]


def test_a_test_that_fails_bare_is_no_difference() -> None:
    bare, through = (
        outcomes(test_known=each, test_plain="failed") for each in ("passed", "failed")
    )

    assert list(unexpected("flask", bare, through)) == []


def test_a_listed_test_that_passes_is_named() -> None:
    assert list(unexpected("flask", BARE, BARE)) == ["listed, but passes: test_known"]


def test_a_listed_test_that_fails_bare_is_named() -> None:
    (line,) = unexpected("flask", AS_KNOWN, AS_KNOWN)

    assert line == "listed, but does not pass bare either: test_known"


@pytest.mark.parametrize("name", ["test_known", "test_chance"])
def test_a_listed_test_that_does_not_exist_is_named(name: str) -> None:
    bare, through = (
        {test: each for test, each in suite.items() if test != name} for suite in (BARE, AS_KNOWN)
    )

    (line,) = unexpected("flask", bare, through)

    assert line == f"listed, but there is no such test: {name}"


def test_a_run_without_a_crossing_is_no_success() -> None:
    through = {name: Outcome(each.outcome, crossed=False) for name, each in AS_KNOWN.items()}

    (line,) = unexpected("flask", BARE, through)

    assert line == "no test has sent a request through the crossing"


def test_results_count_the_tests_that_pass_bare() -> None:
    bare = outcomes(test_plain="failed", test_skipped="skipped")
    bridge, a2wsgi = (
        outcomes(test_known="failed"),
        outcomes(test_known="hangs", test_chance="failed"),
    )

    found = result("1.0", bare, bridge, a2wsgi)

    assert (found.tests, found.bare, found.bridge, found.a2wsgi) == (3, 2, 1, 0)


def test_every_client_of_a_project_exists() -> None:
    source = Path(differences.__file__).with_name("plugins") / "bridge_suites" / "clients.py"
    text = source.read_text("utf-8")

    missing = [each.client for each in PROJECTS.values() if f"def cross_{each.client}(" not in text]
    assert missing == []

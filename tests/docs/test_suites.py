"""docs/explanation/suites.md has the results and the reasons that the suites' data has."""

from __future__ import annotations

import tomllib

import pytest

from tests.suites.differences import KNOWN, known_differences
from tests.suites.page import PAGE, generated
from tests.suites.projects import PROJECTS
from tests.suites.results import read_results


def test_the_page_has_been_generated_from_the_data() -> None:
    assert f"\n{generated()}\n" in PAGE.read_text("utf-8")


def test_every_project_has_a_result_of_its_version() -> None:
    versions = {name: result.version for name, result in read_results().items()}

    assert versions == {name: project.version for name, project in PROJECTS.items()}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_differences_are_what_is_missing_through_bridge(name: str) -> None:
    result = read_results()[name]
    listed = [test for known in known_differences(name) for test in known.tests]

    assert len(listed) == len(set(listed)), "a test has two reasons"
    assert len(listed) == result.bare - result.bridge
    assert 0 < result.crossed <= result.bare <= result.tests


def test_every_reason_belongs_to_a_project() -> None:
    tables = tomllib.loads(KNOWN.read_text("utf-8"))
    entries = [entry for entries in tables.values() for entry in entries]

    assert set(tables) == {"difference", "flaky"}
    assert {entry["project"] for entry in entries} <= set(PROJECTS)
    assert all(entry["tests"] and entry["reason"].endswith(".") for entry in entries)

"""The cookbook has the results of the comparison, and the recipes that it serves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.incumbents.cases import CASES
from tests.incumbents.comparison import SITES
from tests.incumbents.page import PAGE, read_results, recipes, table, version_of


def test_the_table_is_that_of_the_results() -> None:
    assert f"\n{table()}\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", CASES)
def test_every_application_has_a_result_of_its_version(name: str) -> None:
    result = read_results()[name]

    assert result["version"] == version_of(CASES[name])
    assert list(result["equal"]) == list(CASES[name].servings)[1:]


@pytest.mark.parametrize("name", CASES)
def test_every_response_through_bridge_is_equal(name: str) -> None:
    case = CASES[name]
    equal = read_results()[name]["equal"]

    through_bridge = {name for name, serving in case.servings.items() if serving.is_bridge}
    assert through_bridge
    assert {equal[name] for name in through_bridge} == {len(case.steps)}


@pytest.mark.parametrize("name", CASES)
def test_what_is_served_through_bridge_is_a_recipe(name: str) -> None:
    targets = [serving.target for serving in CASES[name].servings.values() if serving.is_bridge]
    for target in targets:
        file = f"{target.partition(':')[0]}.py"
        imported = re.findall(r"^from (\w+)", read(SITES / file), re.M)
        sources = [recipes().get(each, "") for each in (file, *(f"{name}.py" for name in imported))]

        assert any("bridge" in source for source in sources), target


def read(path: Path) -> str:
    """The text of a file, or nothing if there is none."""
    return path.read_text("utf-8") if path.exists() else ""


def test_no_site_has_the_name_of_a_recipe() -> None:
    assert not {site.name for site in SITES.iterdir()} & set(recipes())

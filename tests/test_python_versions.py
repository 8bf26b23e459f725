"""The versions of Python that the metadata names are the ones that are tested."""

from __future__ import annotations

import re
from configparser import ConfigParser

from benchmarks import in_process, request_path
from tests.harness.servers import ROOT

OLDEST = "3.11"


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def versions() -> list[str]:
    """Those of the classifiers in ``setup.cfg``, the oldest first."""
    metadata = ConfigParser(interpolation=None)
    metadata.read_string(text("setup.cfg"))
    return re.findall(r"Python :: (3\.\d+)$", metadata["metadata"]["classifiers"], re.MULTILINE)


def test_the_oldest_version_is_the_one_that_pip_requires() -> None:
    assert versions()[0] == OLDEST
    assert f"python_requires = >={OLDEST}\n" in text("setup.cfg")
    assert f'target-version = "py{OLDEST.replace(".", "")}"' in text("pyproject.toml")


def test_nox_runs_the_tests_on_each_version() -> None:
    assert f"PYTHONS = {versions()}".replace("'", '"') in text("noxfile.py").splitlines()


def test_ci_runs_the_core_suite_on_each_version_but_the_one_of_the_whole_suite() -> None:
    assert f"for version in {' '.join(versions()[1:])}; do" in text(".ci/run").splitlines()


def test_the_cost_of_a_request_is_recorded_for_each_version() -> None:
    for baseline in (in_process.BASELINE, request_path.BASELINE):
        assert list(baseline.read()) == versions()

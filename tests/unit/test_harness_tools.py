"""Tests that need an external program are skipped without it, and fail in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.tools import find_program, skip_without


def test_a_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install krakend"):
        skip_without("kraken", "krakend")


def test_a_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="nothing is skipped"):
        find_program("no-such-program", package="krakend")


def test_a_program_can_be_set_by_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRAKEN", "/opt/kraken")
    assert find_program("sh", package="dash", variable="KRAKEN") == Path("/opt/kraken")
    assert find_program("sh", package="dash").name == "sh"

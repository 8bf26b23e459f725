"""P8: no reported deadlock or regression of asgiref's helpers occurs; each ends in five seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.sync.reproducers import ISSUES


@pytest.mark.parametrize("issue", list(ISSUES))
def test_it_ends(issue: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.sync.reproducers", issue],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.stdout == "ended\n", ran.stderr
    assert ran.returncode == 0
    assert ran.stderr == ""

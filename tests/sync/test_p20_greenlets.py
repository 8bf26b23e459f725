"""P20: real threads under gevent's monkey patching, and a clear error where there can be none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.sync.greenlets import PROGRAMS


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_it_ends(program: str) -> None:
    pytest.importorskip(program.partition("_")[0])
    ran = subprocess.run(
        [sys.executable, "-m", "tests.sync.greenlets", program],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ran.stdout == "ended\n", ran.stderr
    assert ran.returncode == 0

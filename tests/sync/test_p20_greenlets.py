"""P20: real threads under gevent's monkey patching, and a clear error where none can be had."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.sync.greenlets import PROGRAMS


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_it_ends(program: str) -> None:
    package = program.partition("_")[0]
    if importlib.util.find_spec(package) is None:  # not imported: it would warn at every fork
        pytest.skip(f"{package} is not installed")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.sync.greenlets", program],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ran.stdout == "ended\n", ran.stderr
    assert ran.returncode == 0

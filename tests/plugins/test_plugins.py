"""bridge under pytest's plugins: runs the tests of each folder here with the plugin of its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIMIT_S = 240


@pytest.mark.parametrize("folder", ["session_loop", "anyio_plugin", "django_database"])
def test_adapters_and_helpers_work_under_the_plugin(folder: str) -> None:
    options = ["-c", str(HERE / folder / "pytest.ini"), "--timeout", "60", "-p", "no:xdist"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(HERE / folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " skipped" not in ran.stdout, ran.stdout

"""Mixed calls under a watchdog; `BRIDGE_SOAK_CALLS=200000` for the long run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.harness.servers import ROOT

CALLS = int(os.environ.get("BRIDGE_SOAK_CALLS", "6000"))


@pytest.mark.full
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_call_ends_and_nothing_grows(loop: str) -> None:
    script = ROOT / "benchmarks" / "soak_sync.py"
    ran = subprocess.run(
        [sys.executable, str(script), "--calls", str(CALLS), "--rounds", "6", "--loop", loop],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120 + CALLS / 100,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr

"""P20: where gevent or eventlet has patched ``threading``, bridge's threads are greenlets, too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.sync.greenlets import PROGRAMS


@pytest.mark.parametrize("patcher", ["gevent", "eventlet"])
@pytest.mark.parametrize("program", list(PROGRAMS))
def test_it_ends(patcher: str, program: str) -> None:
    if importlib.util.find_spec(patcher) is None:  # not imported: it would warn at every fork
        pytest.skip(f"{patcher} is not installed")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.sync.greenlets", patcher, program],
        env={**os.environ, "EVENTLET_NO_GREENDNS": "yes"},  # else it imports anyio, unpatched
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ran.stdout == "ended\n", ran.stderr
    assert ran.returncode == 0

"""A plugin for pytest that lets threads alternate as often as the interpreter can.

``python -X dev -m pytest -p tests.harness.frequent_switches`` finds races that need a switch of
threads between two bytecodes, which CPython otherwise makes only every 5 ms.
"""

from __future__ import annotations

import sys

SWITCH_INTERVAL_S = 1e-6


def pytest_configure() -> None:
    """Called in each process that runs tests."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)

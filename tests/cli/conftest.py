"""The core suite tests one ASGI and one WSGI server; the full suite tests all of them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import APPS

HERE = Path(__file__).parent
CORE = ("uvicorn", "gunicorn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of other servers as ``full``."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        server = None if callspec is None else callspec.params.get("server")
        if HERE in item.path.parents and server is not None and server not in CORE:
            item.add_marker(pytest.mark.full)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run this process in the folder of the apps, and import from there."""
    monkeypatch.chdir(APPS)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def own_signals() -> Iterator[None]:
    """A command may run in this process: it sets a handler for SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)

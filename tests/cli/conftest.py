"""The core suite tries one ASGI and one WSGI server; the full suite tries all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORE = ("uvicorn", "gunicorn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as ``full`` what runs another server."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        server = None if callspec is None else callspec.params.get("server")
        if HERE in item.path.parents and server is not None and server not in CORE:
            item.add_marker(pytest.mark.full)

"""A folder for control sockets: their paths have to be short."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_path() -> Iterator[Path]:
    """As ``tmp_path``, with a short path."""
    with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as name:
        yield Path(name)

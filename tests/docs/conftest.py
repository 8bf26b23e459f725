"""Fixtures for the tests of the documentation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture(scope="session")
def extension() -> Iterator[Callable[[str], ModuleType]]:
    """Imports an extension of Sphinx from ``docs/_ext`` by its name."""
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "_ext")
        yield importlib.import_module

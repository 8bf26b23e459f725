"""Differences between builds of Python that tests have to know."""

from __future__ import annotations

import sysconfig

import pytest

__all__ = ["frees_at_once"]

frees_at_once = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="a free-threaded build frees what another thread has made once that thread runs again",
)

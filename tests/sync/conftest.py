"""Tests of the helpers may be coroutines. Each runs on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import asgiref.sync
import pytest

import bridge.sync
from tests.harness.loops import FACTORIES, interruptible


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that pytest-asyncio runs each coroutine test on."""
    return {name: interruptible(factory) for name, factory in FACTORIES.items()}


@pytest.fixture
def main_thread() -> threading.Thread:
    """The thread that the test runs on."""
    return threading.current_thread()


@pytest.fixture(params=["bridge", "asgiref"])
def outer(request: pytest.FixtureRequest) -> Any:
    """The helpers that the outer code uses. The inner code always uses ours."""
    return bridge.sync if request.param == "bridge" else asgiref.sync

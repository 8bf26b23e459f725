"""Tests of the helpers may be coroutines. Each runs on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

import asgiref.sync
import pytest

import bridge.sync
from tests.harness.loops import RUNNERS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each coroutine test, and each test with a ``run`` argument, on both loops."""
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("run")
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", list(RUNNERS.values()), ids=list(RUNNERS))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test. It fails after a minute."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def main() -> None:
        async with asyncio.timeout(60):
            await pyfuncitem.obj(**arguments)

    run: Callable[..., Any] = pyfuncitem.callspec.params["run"]  # type: ignore[assignment]  # object
    run(main())
    return True


@pytest.fixture
def main_thread() -> threading.Thread:
    """The thread that the test runs on."""
    return threading.current_thread()


@pytest.fixture(params=["bridge", "asgiref"])
def outer(request: pytest.FixtureRequest) -> Any:
    """The helpers that the outer code uses. The inner code always uses ours."""
    return bridge.sync if request.param == "bridge" else asgiref.sync

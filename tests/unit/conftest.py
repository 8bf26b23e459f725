"""Support for tests that are coroutines, each on a new event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from bridge.asgi_to_wsgi.running_app import close_running_apps


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run ``async def`` tests with :func:`asyncio.run`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def close_apps() -> Iterator[None]:
    """Shut down the apps that the test has started behind ``to_wsgi``."""
    yield
    close_running_apps()

"""All tests share one event loop: asyncio's, then uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

import bridge
from tests.harness import asgi
from tests.harness.loops import FACTORIES
from tests.plugins import apps


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return FACTORIES


@pytest.fixture(scope="session")
async def router() -> AsyncIterator[bridge.Router]:
    """A Router that has started, on the loop of all tests."""
    app = apps.router()
    async with asgi.lifespan(app):
        yield app


@pytest.fixture
async def word() -> AsyncIterator[str]:
    """A context variable that a test, and the apps that it calls, see as this fixture set it."""
    token = apps.WORD.set("of the fixture")
    yield "of the fixture"
    apps.WORD.reset(token)

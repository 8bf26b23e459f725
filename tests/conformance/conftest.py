"""Adapters for the in-process tests, with their threads joined at the end of each test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import bridge
from bridge.types import WsgiApp
from tests.harness.asgi import lifespan


class Bridged(Protocol):
    """Makes an adapter as ``bridge.to_asgi`` does, and ends its threads after the test."""

    def __call__(self, app: WsgiApp, **options: Any) -> bridge.WsgiToAsgi: ...


@pytest.fixture
def bridged() -> Iterator[Bridged]:
    made: list[bridge.WsgiToAsgi] = []

    def make(app: WsgiApp, **options: Any) -> bridge.WsgiToAsgi:
        adapter = bridge.WsgiToAsgi(app, **{"threads": 4, **options})
        made.append(adapter)
        return adapter

    yield make
    for adapter in made:
        asyncio.run(_end(adapter))


async def _end(adapter: bridge.WsgiToAsgi) -> None:
    """The lifespan's shutdown is the public way to join an adapter's threads."""
    async with lifespan(adapter):
        pass


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What ``bridge`` has logged at warning level or above, one string for each record."""
    caplog.set_level(logging.WARNING, logger="bridge")

    def messages() -> list[str]:
        return [record.getMessage() for record in caplog.records if "bridge" in record.name]

    return messages

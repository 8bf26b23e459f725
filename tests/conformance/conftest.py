"""Adapters for the in-process tests of ``to_asgi``, whose threads are joined after each test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import bridge
from bridge.types import WsgiApp
from tests.harness.asgi import lifespan


class ToAsgi(Protocol):
    """Creates an adapter like ``bridge.to_asgi``. Its threads end after the test."""

    def __call__(self, app: WsgiApp, **options: Any) -> bridge.WsgiToAsgi: ...


@pytest.fixture
def to_asgi() -> Iterator[ToAsgi]:
    adapters: list[bridge.WsgiToAsgi] = []

    def make(app: WsgiApp, **options: Any) -> bridge.WsgiToAsgi:
        adapter = bridge.WsgiToAsgi(app, **{"threads": 4, **options})
        adapters.append(adapter)
        return adapter

    yield make
    for adapter in adapters:
        asyncio.run(_end(adapter))


async def _end(adapter: bridge.WsgiToAsgi) -> None:
    """Join the threads of an adapter by its lifespan shutdown, the public way."""
    async with lifespan(adapter):
        pass


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Messages that ``bridge`` logged at level WARNING or above."""
    caplog.set_level(logging.WARNING, logger="bridge")

    def messages() -> list[str]:
        return [record.getMessage() for record in caplog.records if "bridge" in record.name]

    return messages

"""Adapters and helpers in tests that anyio's plugin runs, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

import bridge
from tests.harness import asgi, wsgi
from tests.plugins import apps

ASYNCIO = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
]
SHARED = bridge.to_asgi(apps.flask_app, threads=2)
AS_WSGI = bridge.to_wsgi(apps.api())

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ASYNCIO, scope="module")


@pytest.fixture(scope="module")
async def router(anyio_backend: Any) -> AsyncIterator[bridge.Router]:
    """A Router that has started. anyio runs fixtures in the task of the tests."""
    app = apps.router()
    async with asgi.lifespan(app):
        yield app


async def this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@on_asyncio
@pytest.mark.parametrize("request_number", [1, 2])
async def test_a_mounted_app_runs_on_the_loop_of_its_lifespan(
    router: bridge.Router, request_number: int
) -> None:
    assert await apps.get(router, "/api/loop") == "true"
    assert len((await apps.get(router, "/lines")).split()) == apps.LINES


@on_asyncio
async def test_an_adapter_in_a_task_group() -> None:
    texts: list[str] = []

    async def one(path: str) -> None:
        texts.append(await apps.get(SHARED, path))

    async with anyio.create_task_group() as group:
        for path in ["/lines", "/word"] * 5:
            group.start_soon(one, path)
    assert {len(text.split()) for text in texts} == {apps.LINES, 1}


@on_asyncio
async def test_a_cancelled_scope_ends_the_wait_for_sync_code() -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        leave.wait(30)

    async with anyio.create_task_group() as group:
        group.start_soon(bridge.sync_to_async(wait, thread_sensitive=False))
        await anyio.to_thread.run_sync(entered.wait)
        leave.set()
        group.cancel_scope.cancel()


@on_asyncio
async def test_the_helpers_call_back() -> None:
    assert (
        await bridge.sync_to_async(bridge.async_to_sync(this_loop))() is asyncio.get_running_loop()
    )


@on_asyncio
async def test_async_code_from_a_thread_of_anyio() -> None:
    assert await anyio.to_thread.run_sync(bridge.async_to_sync(apps.on_asyncio))


@on_asyncio
async def test_an_asgi_app_as_wsgi_on_a_thread_of_anyio() -> None:
    call = functools.partial(wsgi.call, AS_WSGI, wsgi.environ_of(path="/loop"))
    assert (await anyio.to_thread.run_sync(call)).body == b"true"

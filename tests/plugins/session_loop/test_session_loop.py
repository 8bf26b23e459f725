"""Adapters and helpers on a loop that lives as long as all tests."""

from __future__ import annotations

import asyncio
import threading

import asgiref.sync
import pytest

import bridge
from tests.harness import wsgi
from tests.plugins import apps

SHARED = bridge.WsgiToAsgi(apps.flask_app, threads=2)
NEVER_STARTED = apps.router()
AS_WSGI = bridge.to_wsgi(apps.api())
threads: list[threading.Thread] = []

on_its_own_loop = pytest.mark.asyncio(loop_scope="function")


async def this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


# Each of these calls the same adapter, on one loop and another in turn.


async def check_the_shared_adapter() -> None:
    paths = ["/lines", "/word"] * 5
    texts = await asyncio.gather(*(apps.get(SHARED, path) for path in paths))
    assert {len(text.split()) for text in texts} == {apps.LINES, 1}
    async with apps.client(SHARED) as client:
        response = await client.post("/length", content=bytes(1_000_000))
    assert response.json() == {"length": 1_000_000}


async def test_an_adapter_on_the_shared_loop() -> None:
    await check_the_shared_adapter()


@on_its_own_loop
async def test_the_same_adapter_on_a_loop_of_its_own() -> None:
    await check_the_shared_adapter()


async def test_the_same_adapter_on_the_shared_loop_again() -> None:
    await check_the_shared_adapter()
    assert SHARED.stats().threads == 2


@pytest.mark.parametrize("request_number", [1, 2])
async def test_a_mounted_app_runs_on_the_loop_of_its_lifespan(
    router: bridge.Router, request_number: int
) -> None:
    assert await apps.get(router, "/api/loop") == "true"
    assert len((await apps.get(router, "/lines")).split()) == apps.LINES


async def test_an_app_sees_the_context_variables_of_fixtures(
    router: bridge.Router, word: str
) -> None:
    assert await apps.get(router, "/word") == word


async def test_a_router_without_a_lifespan_starts_its_apps() -> None:
    assert await apps.get(NEVER_STARTED, "/api/loop") == "true"


# The helpers


async def test_thread_sensitive_code_runs_on_one_thread_for_both_libraries() -> None:
    ours = await bridge.sync_to_async(apps.thread)()
    asgirefs = await asgiref.sync.sync_to_async(apps.thread)()
    assert ours is asgirefs
    threads.append(ours)


@on_its_own_loop
async def test_it_is_the_same_thread_on_a_loop_of_its_own() -> None:
    assert await bridge.sync_to_async(apps.thread)() is threads[0]


async def test_a_call_back_from_a_thread_runs_on_the_shared_loop() -> None:
    call_back = bridge.async_to_sync(this_loop)
    assert await bridge.sync_to_async(call_back)() is asyncio.get_running_loop()


async def test_a_sync_call_on_the_shared_loop_is_refused() -> None:
    with pytest.raises(RuntimeError):
        bridge.async_to_sync(this_loop)()


def test_a_sync_test_between_them_uses_the_kept_loop() -> None:
    loop = bridge.async_to_sync(this_loop)()
    assert loop.is_running()
    assert bridge.async_to_sync(this_loop)() is loop
    assert bridge.async_to_sync(apps.get)(SHARED, "/word") == "none"


def test_thread_sensitive_code_comes_back_to_a_sync_test() -> None:
    async def main() -> threading.Thread:
        return await bridge.sync_to_async(apps.thread)()

    assert bridge.async_to_sync(main)() is apps.thread()


def test_an_asgi_app_as_wsgi_in_a_sync_test() -> None:
    assert wsgi.call(AS_WSGI, wsgi.environ_of(path="/loop")).body == b"true"


async def test_an_asgi_app_as_wsgi_on_a_thread() -> None:
    response = await asyncio.to_thread(wsgi.call, AS_WSGI, wsgi.environ_of(path="/loop"))
    assert response.body == b"true"

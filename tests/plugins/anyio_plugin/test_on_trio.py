"""What works in tests that anyio's plugin runs on trio, and the errors of what does not."""

from __future__ import annotations

import functools

import anyio.to_thread
import pytest

import bridge
from tests.harness import wsgi
from tests.plugins import apps

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["trio"], scope="module"),
]


async def test_async_code_from_a_thread_runs_on_asyncio() -> None:
    assert not await apps.on_asyncio()
    assert await anyio.to_thread.run_sync(bridge.async_to_sync(apps.on_asyncio))


async def test_an_asgi_app_as_wsgi_on_a_thread() -> None:
    call = functools.partial(wsgi.call, bridge.to_wsgi(apps.api()), wsgi.environ_of(path="/loop"))
    assert (await anyio.to_thread.run_sync(call)).body == b"true"


async def test_an_adapter_names_the_loops_that_it_needs() -> None:
    with pytest.raises(bridge.ServerProtocolError, match="asyncio or uvloop, not trio"):
        await apps.get(bridge.to_asgi(apps.flask_app), "/word")


async def test_sync_to_async_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        await bridge.sync_to_async(apps.thread)()

"""An MCP server under gunicorn's gthread worker, with the client of package ``mcp`` (P14)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.sse import sse_client

from tests.harness.control import Control
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers

TIMEOUT_S = 30
TRANSPORTS = ["streamable-http", "sse"]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def live_server(wsgi_servers: WsgiServers, transport: str) -> LiveWsgiServer:
    target = {"streamable-http": "http_app()", "sse": "sse_app()"}[transport]
    return wsgi_servers.get(
        "gunicorn-gthread", f"tests.apps.asgi_mcp:{target}", args=("--threads", "10")
    )


def client_of(live_server: LiveWsgiServer, transport: str) -> Client:
    if transport == "sse":
        return Client(sse_client(f"{live_server.server.url}/sse"))
    return Client(f"{live_server.server.url}/mcp")


def test_tools_are_listed_and_called(live_server: LiveWsgiServer, transport: str) -> None:
    async def main() -> tuple[list[str], Any]:
        async with asyncio.timeout(TIMEOUT_S), client_of(live_server, transport) as client:
            listed = await client.list_tools()
            result = await client.call_tool("add", {"a": 2, "b": 3})
            return [tool.name for tool in listed.tools], result

    names, result = asyncio.run(main())

    assert names == ["add", "count", "wait"]
    assert result.content[0].text == "5"


def test_progress_arrives_while_the_tool_runs(
    live_server: LiveWsgiServer, transport: str, control: Control, key: str
) -> None:
    seen: list[float] = []

    async def main() -> Any:
        async def on_progress(
            progress: float, total: float | None = None, message: str | None = None
        ) -> None:
            seen.append(progress)
            control.release(key, "step")  # the next step waits for this notification

        async with asyncio.timeout(TIMEOUT_S), client_of(live_server, transport) as client:
            return await client.call_tool(
                "count", {"steps": 3, "key": key}, progress_callback=on_progress
            )

    result = asyncio.run(main())

    assert result.content[0].text == "counted to 3"
    assert seen == [1, 2, 3]


def test_several_clients_are_served_concurrently(
    live_server: LiveWsgiServer, transport: str
) -> None:
    async def add(number: int) -> str:
        async with client_of(live_server, transport) as client:
            result: Any = await client.call_tool("add", {"a": number, "b": 1})
            return str(result.content[0].text)

    async def main() -> list[str]:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.gather(*(add(number) for number in range(4)))

    assert asyncio.run(main()) == ["1", "2", "3", "4"]


def test_cancelled_calls_lose_no_thread(
    live_server: LiveWsgiServer, transport: str, control: Control, key: str
) -> None:
    """Sequentially, more calls than the server has threads."""

    async def cancel_one(number: int) -> None:
        async with asyncio.timeout(TIMEOUT_S), client_of(live_server, transport) as client:
            call = asyncio.create_task(client.call_tool("wait", {"key": f"{key}-{number}"}))
            await asyncio.to_thread(control.expect, f"{key}-{number}", "started")
            call.cancel()
            await asyncio.wait([call])

    for number in range(12):
        asyncio.run(cancel_one(number))
        control.expect(f"{key}-{number}", "ended")

    async def main() -> Any:
        async with asyncio.timeout(TIMEOUT_S), client_of(live_server, transport) as client:
            return await client.call_tool("add", {"a": 2, "b": 3})

    assert asyncio.run(main()).content[0].text == "5"

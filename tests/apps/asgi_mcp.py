"""An MCP server (package ``mcp``) behind ``bridge.to_wsgi``, with both HTTP transports.

``http_app`` serves streamable HTTP, ``sse_app`` server-sent events. The tools report their calls to
the test.
"""

from __future__ import annotations

import asyncio
from typing import Any

from mcp.server.mcpserver import Context, MCPServer

import bridge
from tests.apps.asgi_routes import gate, report

server = MCPServer("bridge-test")


@server.tool()
async def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def count(steps: int, key: str, ctx: Context[Any, Any]) -> str:
    """Reports progress step by step."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
        await gate(key, "step")
    return f"counted to {steps}"


@server.tool()
async def wait(key: str) -> str:
    """Waits forever."""
    try:
        await report(key, "started")  # the tool may be cancelled before this returns
        await asyncio.Event().wait()
    finally:
        await report(key, "ended")
    return "never"


def http_app() -> object:
    return bridge.to_wsgi(server.streamable_http_app())


def sse_app() -> object:
    return bridge.to_wsgi(server.sse_app())

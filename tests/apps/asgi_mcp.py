"""An MCP server (package ``mcp``) through ``bridge.to_wsgi``, by each of its two HTTP transports.

What enters: MCP requests. What leaves: ``http_app`` (streamable HTTP) and ``sse_app``; the tools
tell the test what became of their calls.
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
    """Reports its progress, one step at a time."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
        await gate(key, "step")
    return f"counted to {steps}"


@server.tool()
async def wait(key: str) -> str:
    """Waits for something that never comes."""
    try:
        await report(key, "started")  # the cancellation may come before this returns
        await asyncio.Event().wait()
    finally:
        await report(key, "ended")
    return "never"


def http_app() -> object:
    return bridge.to_wsgi(server.streamable_http_app())


def sse_app() -> object:
    return bridge.to_wsgi(server.sse_app())

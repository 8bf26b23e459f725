"""Async resources created at startup and shared by all requests, behind ``bridge.to_wsgi``.

``BRIDGE_TEST_POSTGRES`` is the URL of a database. ``app`` has an asyncpg pool, a psycopg pool and
an ``httpx.AsyncClient`` on the adapter's event loop. Each route uses one of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # no stubs
import httpx
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import bridge

URL = os.environ.get("BRIDGE_TEST_POSTGRES", "")
POOL_SIZE = 4


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A minimal HTTP server with keep-alive, for the client."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            await asyncio.start_server(respond, "127.0.0.1", 0)
        )
        port = server.sockets[0].getsockname()[1]
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        yield {
            "client": await stack.enter_async_context(client),
            "asyncpg": await stack.enter_async_context(
                asyncpg.create_pool(URL, min_size=1, max_size=POOL_SIZE)
            ),
            "psycopg": await stack.enter_async_context(
                AsyncConnectionPool(URL, min_size=1, max_size=POOL_SIZE, open=False)
            ),
        }


async def with_asyncpg(request: Request) -> JSONResponse:
    async with request.state.asyncpg.acquire() as connection:
        return JSONResponse(await connection.fetchval("SELECT pg_backend_pid()"))


async def with_psycopg(request: Request) -> JSONResponse:
    async with request.state.psycopg.connection() as connection:
        cursor = await connection.execute("SELECT pg_backend_pid()")
        return JSONResponse((await cursor.fetchone())[0])


async def with_httpx(request: Request) -> JSONResponse:
    response = await request.state.client.get("/")
    return JSONResponse(response.text)


async def hello(request: Request) -> JSONResponse:
    return JSONResponse("hello")


app = bridge.to_wsgi(
    Starlette(
        routes=[
            Route("/", hello),
            Route("/asyncpg", with_asyncpg),
            Route("/psycopg", with_psycopg),
            Route("/httpx", with_httpx),
        ],
        lifespan=lifespan,
    )
)

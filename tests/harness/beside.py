"""Load from one thread: many WebSockets and many HTTP requests at the same time.

Input: a port on this machine. Output: the number of WebSockets that still echo, and the status and
duration of each request. Runs on the caller's event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

__all__ = ["Answer", "answering", "load", "open_sockets"]

HOST = "127.0.0.1"
TIMEOUT_S = 60.0
AT_ONCE = 50


@dataclass(frozen=True)
class Answer:
    """The result of one request.

    :ivar status: 0 if the connection broke.
    :ivar took_s: seconds from the first byte sent to the last byte received.
    """

    status: int
    took_s: float


@asynccontextmanager
async def open_sockets(port: int, path: str, count: int) -> AsyncIterator[list[ClientConnection]]:
    """Open ``count`` WebSockets for the block, and close them with 1000 after it."""
    url, sockets = f"ws://{HOST}:{port}{path}", list[ClientConnection]()
    try:
        while len(sockets) < count:
            missing = min(AT_ONCE, count - len(sockets))
            sockets += await asyncio.gather(*(_open(url) for _ in range(missing)))
        yield sockets
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


async def _open(url: str) -> ClientConnection:
    # No pings of the client. The library answers those of the server.
    return await connect(url, open_timeout=TIMEOUT_S, ping_interval=None, compression=None)


async def answering(sockets: Sequence[ClientConnection]) -> int:
    """The number of WebSockets that still echo a message."""
    return sum(await asyncio.gather(*(_echoes(n, each) for n, each in enumerate(sockets))))


async def _echoes(number: int, socket: ClientConnection) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await socket.send(f"ping {number}")
            return await socket.recv() == f"ping {number}"
    except (ConnectionClosed, TimeoutError):
        return False


async def load(port: int, path: str, *, requests: int, connections: int) -> list[Answer]:
    """Send ``requests`` GET requests in total over ``connections`` parallel connections."""
    remaining = iter(range(requests))
    answers: list[Answer] = []

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            answers.extend([await _get(reader, writer, path) for _ in remaining])
        finally:
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return answers


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> Answer:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            await reader.readexactly(length)
    except (OSError, EOFError, TimeoutError):
        return Answer(0, time.perf_counter() - started)
    return Answer(int(head.split(" ")[1]), time.perf_counter() - started)

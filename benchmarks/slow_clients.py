"""``python -m benchmarks.slow_clients``: pages that are answered while slow clients hold requests.

Input: the numbers of clients that send the head of an upload and one byte of its body, and of those
that take one byte of a download a second. Output: for each server, how many of some pages it
answers meanwhile, and how many of the uploads once the clients send the rest. Nothing is timed, but
an answer after ``PATIENCE_S`` does not count.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import suppress
from typing import Any

import a2wsgi
import click
from rich.console import Console
from rich.table import Table

import bridge
from benchmarks.options import number
from benchmarks.servers import granian_wsgi, waitress
from benchmarks.side_by_side import Contender, gthread, uvicorn
from bridge.cli.bench.processes import HOST, run_server
from bridge.types import Environ, StartResponse

THREADS = 40
UPLOAD_BYTES = 1000
DOWNLOAD_BYTES = 5_000_000
CHUNK_BYTES = 16_384
PATIENT_S = 600
SETTLE_S = 15.0
"""Until the sockets of all downloads are full."""
PATIENCE_S = 3.0


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole body, if there is one, and answer with its length. ``/download`` streams."""
    if environ["PATH_INFO"] == "/download":
        start_response("200 OK", [("Content-Type", "text/csv")])
        return download()
    length = len(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return [b"%8d" % length]


def download() -> Iterator[bytes]:
    chunk = b"x" * CHUNK_BYTES
    for _ in range(DOWNLOAD_BYTES // CHUNK_BYTES):
        yield chunk


through_bridge = bridge.to_asgi(app, threads=THREADS)
without_buffers = bridge.to_asgi(app, threads=THREADS, buffer_request_bytes=0, spool_bytes=0)
through_a2wsgi = a2wsgi.WSGIMiddleware(app, workers=THREADS)  # type: ignore[arg-type]  # own types


def contenders() -> list[Contender]:
    """Each with as many threads."""
    here = "benchmarks.slow_clients"
    return [
        uvicorn("to_asgi on uvicorn", f"{here}:through_bridge"),
        uvicorn("to_asgi, without both", f"{here}:without_buffers"),
        uvicorn("a2wsgi on uvicorn", f"{here}:through_a2wsgi"),
        gthread("gunicorn gthread", f"{here}:app", THREADS),
        granian_wsgi("granian, WSGI", f"{here}:app", THREADS),
        waitress("waitress", f"{here}:app", THREADS),
    ]


class SlowUpload:
    """An upload that stops after its first byte, until :meth:`finish`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, port: int) -> SlowUpload:
        upload = cls(*await asyncio.open_connection(HOST, port))
        upload._writer.write(
            b"POST / HTTP/1.1\r\nHost: site.example\r\nContent-Length: %d\r\n\r\nx" % UPLOAD_BYTES
        )
        await upload._writer.drain()
        return upload

    async def finish(self) -> bool:
        """Send the rest. Whether the answer is 200."""
        self._writer.write(b"x" * (UPLOAD_BYTES - 1))
        try:
            return b" 200 " in await self._reader.readline()
        finally:
            self._writer.close()


class SlowDownload:
    """A client that takes one byte a second."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, port: int) -> SlowDownload:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (HOST, port))
        await loop.sock_sendall(connection, b"GET /download HTTP/1.1\r\nHost: site.example\r\n\r\n")
        return cls(connection)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(PATIENT_S):
            await loop.sock_recv(self._connection, 1)
            await asyncio.sleep(1)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await self._task
        self._connection.close()


async def get_page(port: int) -> bool:
    """Whether the answer is 200."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


async def count(attempts: Iterable[Coroutine[Any, Any, bool]]) -> int:
    """How many succeed. All run at once, for at most ``PATIENCE_S``."""

    async def succeeds(attempt: Coroutine[Any, Any, bool]) -> bool:
        try:
            return await asyncio.wait_for(attempt, PATIENCE_S)
        except (TimeoutError, OSError):
            return False

    return sum(await asyncio.gather(*map(succeeds, attempts)))


async def measure_uploads(port: int, clients: int, pages: int) -> tuple[int, int]:
    """The numbers of pages and of uploads that are answered."""
    await count([get_page(port)])  # its code is loaded
    uploads = [await SlowUpload.start(port) for _ in range(clients)]
    await count([get_page(port)])  # all of the uploads have been read
    answered = await count(get_page(port) for _ in range(pages))
    return answered, await count(upload.finish() for upload in uploads)


async def measure_downloads(port: int, clients: int, pages: int) -> int:
    """The number of pages that are answered, some seconds after the downloads have begun."""
    downloads = [await SlowDownload.start(port) for _ in range(clients)]
    await asyncio.sleep(SETTLE_S)
    answered = await count(get_page(port) for _ in range(pages))
    for each in downloads:
        await each.close()
    return answered


@click.command()
@number("--uploads", 60, "Slow uploads.")
@number("--downloads", 200, "Slow downloads.")
@number("--pages", 100, "Pages requested at once.")
def main(uploads: int, downloads: int, pages: int) -> None:
    """Count the pages that each server answers while slow clients hold requests."""
    table = Table(title=f"{THREADS} threads; pages answered, of {pages}")
    table.add_column("")
    table.add_column(f"during {downloads} downloads", justify="right")
    table.add_column(f"during {uploads} uploads", justify="right")
    table.add_column(f"uploads answered, of {uploads}", justify="right")
    for contender in contenders():
        with run_server(contender.name, contender.command, env=contender.env) as server:
            during_downloads = asyncio.run(measure_downloads(server.port, downloads, pages))
        with run_server(contender.name, contender.command, env=contender.env) as server:
            answered, finished = asyncio.run(measure_uploads(server.port, uploads, pages))
        table.add_row(contender.name, str(during_downloads), str(answered), str(finished))
    Console().print(table)


if __name__ == "__main__":
    main()

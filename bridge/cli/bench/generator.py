"""A small HTTP load generator, for machines without wrk and for mixed paths, which wrk cannot do.

``python -m bridge.cli.bench.generator URL --connections 32 --seconds 5 PATH ...`` opens the
connections; each requests the paths in turn, one request at a time, starting at a different path.
Output: one line of JSON with the latencies of each path. Runs as one process with one event loop
(uvloop's where it is installed). It needs more CPU per request than wrk, so it finds lower limits.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["Result"]

Result = dict[str, object]
"""``requests``, ``failed``, ``seconds``, ``bytes``, and ``paths``: the ``requests``, ``p50_ms`` and
``p99_ms`` of each path."""

GRACE_S = 10.0
RETRY_S = 0.01


class Run:
    """The requests to send, and the results; shared by all connections."""

    def __init__(self, host: str, port: int, paths: Sequence[str]) -> None:
        self.host, self.port, self.paths = host, port, paths
        self.requests = [_request(f"{host}:{port}", path) for path in paths]
        self.latencies: dict[str, list[float]] = {path: [] for path in paths}
        self.failed = 0
        self.bytes = 0
        self.deadline = 0.0

    async def load(self, connections: int, seconds: float) -> Result:
        started = time.perf_counter()
        self.deadline = started + seconds
        clients = [Client(self, number) for number in range(connections)]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        _, late = await asyncio.wait(tasks, timeout=seconds + GRACE_S)
        self.failed += len(late)
        for task in late:
            task.cancel()
        return self._result(time.perf_counter() - started)

    def _result(self, seconds: float) -> Result:
        paths = {path: _summary(each) for path, each in self.latencies.items()}
        return {
            "requests": sum(len(each) for each in self.latencies.values()),
            "failed": self.failed,
            "seconds": seconds,
            "bytes": self.bytes,
            "paths": paths,
        }


class Client:
    """One connection, reopened whenever the server closes it."""

    def __init__(self, run: Run, number: int) -> None:
        self._run = run
        self._next = number % len(run.paths)

    async def run(self) -> None:
        run = self._run
        while time.perf_counter() < run.deadline:
            try:
                await self._use_connection()
            except (OSError, asyncio.IncompleteReadError, ValueError):
                run.failed += 1
                await asyncio.sleep(RETRY_S)

    async def _use_connection(self) -> None:
        """Send requests on one connection until the server closes it or the time is up."""
        run = self._run
        reader, writer = await asyncio.open_connection(run.host, run.port)
        try:
            while (sent := time.perf_counter()) < run.deadline:
                path = run.paths[self._next]
                writer.write(run.requests[self._next])
                self._next = (self._next + 1) % len(run.paths)
                status, size, closes = await _read_response(reader)
                run.bytes += size
                run.latencies[path].append(time.perf_counter() - sent)
                run.failed += not 200 <= status < 400
                if closes:
                    return
        finally:
            writer.close()


def _request(host: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bridge-bench\r\n\r\n".encode()


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, int, bool]:
    """:returns: the status, the size of the body, and whether the server closes the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b":", 1) for line in lines[1:] if b":" in line)
    status = int(lines[0].split()[1])
    closes = fields.get(b"connection", b"").strip() == b"close"
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return status, await _read_chunks(reader), closes
    length = fields.get(b"content-length")
    if length is not None:
        await reader.readexactly(int(length))
        return status, int(length), closes
    if status in (204, 304):
        return status, 0, closes
    return status, len(await reader.read()), True


async def _read_chunks(reader: asyncio.StreamReader) -> int:
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
        total += size
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return total


def _summary(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        "requests": len(ordered),
        "p50_ms": _quantile(ordered, 0.5) * 1000,
        "p99_ms": _quantile(ordered, 0.99) * 1000,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted values; 0.0 if there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Load a server and print the latencies.")
    parser.add_argument("url", help="base URL, such as http://127.0.0.1:8000")
    parser.add_argument("paths", nargs="+", help="requested in turn on each connection")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    url = urlsplit(options.url)
    run = Run(url.hostname or "127.0.0.1", url.port or 80, options.paths)
    runner = asyncio.run
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        runner = uvloop.run
    print(json.dumps(runner(run.load(options.connections, options.seconds))))


if __name__ == "__main__":
    main()

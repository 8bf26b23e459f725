"""Loads other than one page requested repeatedly: uploads, a mix of pages, idle clients.

Input: a running server. Output: a :data:`~benchmarks.side_by_side.Sample`. Clients run in this
process, or in a second one on the second CPU if they need much CPU.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.side_by_side import Contender, Load, Sample, make_sample
from bridge.cli.bench.load import run_mixed_load
from bridge.cli.bench.processes import HOST, RunningServer, taskset

__all__ = ["idle_clients", "mix", "upload"]

TIMEOUT_S = 120
BLOCK = bytes(1 << 20)
MIX = ["/"] * 9 + ["/slow"]


def mix(contender: Contender, server: RunningServer, seconds: int, connections: int) -> Sample:
    """One request in ten is slow; ``p99_fast_ms`` is the p99 of the others."""
    before_s = server.cpu_s()
    result = run_mixed_load(server.url(""), MIX, connections=connections, seconds=seconds)
    return {**make_sample(result, server, before_s), "p99_fast_ms": result.p99_ms_by_path["/"]}


def upload(size_mb: int) -> Load:
    """One request with a body of this size: ``mb_per_s``, and the increase of memory."""

    def load(contender: Contender, server: RunningServer, seconds: int, connections: int) -> Sample:
        server.reset_peak()
        start_mb, cpu_s = server.rss_mb() or 0.0, server.cpu_s() or 0.0
        command = [sys.executable, "-m", "benchmarks.loads", str(server.port), contender.path]
        done = subprocess.run(
            [*taskset(1), *command, str(size_mb)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        duration_s = json.loads(done.stdout)
        return {
            "mb_per_s": size_mb / duration_s,
            "rss_rise_mb": (server.peak_mb() or 0.0) - start_mb,
            "cpu_ms_per_mb": ((server.cpu_s() or 0.0) - cpu_s) * 1000 / size_mb,
        }

    return load


def idle_clients(count: int) -> Load:
    """Clients of an idle event stream: memory of each, in KB."""

    def load(contender: Contender, server: RunningServer, seconds: int, connections: int) -> Sample:
        with ExitStack() as stack:
            _connect(stack, server, contender.path, 2)  # the first one also pays for set-up
            before_mb = server.rss_mb() or 0.0
            _connect(stack, server, contender.path, count)
            after_mb = server.rss_mb() or 0.0
        return {"kb_per_client": (after_mb - before_mb) * 1024 / count}

    return load


def _connect(stack: ExitStack, server: RunningServer, path: str, count: int) -> None:
    for _ in range(count):
        client = socket.create_connection((HOST, server.port), timeout=TIMEOUT_S)
        stack.callback(client.close)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        _read_until(client, b"data: hello")


def _read_until(client: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        data = client.recv(65536)
        if not data:
            raise ConnectionError(f"the server closed the connection after {received!r}")
        received += data
    return received


def _send_body(port: int, path: str, size_mb: int) -> float:
    """:returns: seconds from the first byte sent to the response."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size_mb << 20}\r\n\r\n"
    with socket.create_connection((HOST, port), timeout=TIMEOUT_S) as client:
        start = time.perf_counter()
        client.sendall(head.encode())
        for _ in range(size_mb):
            client.sendall(BLOCK)
        response = _read_until(client, str(size_mb << 20).encode())
        if b" 200 " not in response:
            raise ConnectionError(f"the server responded {response!r}")
        return time.perf_counter() - start


if __name__ == "__main__":
    print(_send_body(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

"""``python -m benchmarks.websocket_echo``: an ASGI app's WebSockets, under gunicorn and uvicorn.

Input: the echo of `tests/apps/asgi_websockets.py`, as a WSGI app on gunicorn's gthread worker, and
as it is on uvicorn with each of its codecs. Output: a table of messages per second, of messages per
second of the server's CPU time, and of memory for each idle WebSocket. Exit code 1 if gunicorn
has fewer messages per CPU second than uvicorn's fastest codec, or more memory per socket than the
limit.

Rounds of the servers alternate, so that a slow moment of the machine affects all. The servers run
on one CPU, this process on another. CPU time is what the comparison uses: it does not depend on
what else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.options import number
from tests.harness.beside import open_sockets
from tests.harness.ports import HOST
from tests.harness.servers import SERVERS, Server, ServerSpec, serve

APP = "tests.apps.asgi_websockets"
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = bytes(4)


def _uvicorn(codec: str) -> ServerSpec:
    return replace(
        SERVERS["uvicorn-uvloop"],
        name=f"uvicorn, {codec}",
        inherits_socket=False,
        command=lambda at, target: [
            *("uvicorn", target, "--host", HOST, "--port", str(at.port), "--ws", codec),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log"),
            *("--log-level", "warning"),
        ],
    )


BRIDGE = "gunicorn gthread, bridge"
SETUPS = {
    BRIDGE: (SERVERS["gunicorn-gthread"], f"{APP}:app"),
    **{
        f"uvicorn, {codec}": (_uvicorn(codec), f"{APP}:asgi")
        for codec in ("websockets", "websockets-sansio", "wsproto")
    },
}


@dataclass
class Result:
    """What was measured of one server.

    :ivar rates: messages per second, of each round.
    :ivar cpu_rates: messages per second of CPU time, of each round.
    :ivar kb_per_socket: of memory, for an idle WebSocket.
    """

    rates: list[float] = field(default_factory=list)
    cpu_rates: list[float] = field(default_factory=list)
    kb_per_socket: float = 0.0


class _Client(asyncio.Protocol):
    """Sends a message, and the next one when it has come back."""

    def __init__(self, size: int, until: float) -> None:
        self._frame = b"\x82" + bytes([0x80 | size]) + MASK + bytes(size)
        self._answer = 2 + size
        self._until = until
        self._received = 0
        self.count = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if not self.count:
            assert data.startswith(b"HTTP/1.1 101 "), data
            self.count = 1
            self._transport.write(self._frame)
            return
        self._received += len(data)
        if self._received < self._answer:
            return
        self._received = 0
        self.count += 1
        if time.perf_counter() < self._until:
            self._transport.write(self._frame)
        else:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)


async def echo(port: int, *, clients: int, size: int, seconds: float) -> int:
    """How many messages came back."""
    loop, until = asyncio.get_running_loop(), time.perf_counter() + seconds
    protocols = [_Client(size, until) for _ in range(clients)]
    for protocol in protocols:
        await loop.create_connection(lambda protocol=protocol: protocol, HOST, port)  # type: ignore[misc]
    await asyncio.gather(*(protocol.done for protocol in protocols))
    return sum(protocol.count for protocol in protocols)


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of all threads of these processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def idle_kb(server: Server, count: int) -> float:
    """Memory of an idle WebSocket, in KB. The first ones warm the server up."""
    async with open_sockets(server.port, "/echo", 50):
        before = server.rss_bytes()
        async with open_sockets(server.port, "/echo", count):
            return (server.rss_bytes() - before) / count / 1024


def pin(server: Server) -> None:
    """The servers on one CPU, this process on the others, where there are two."""
    usable = sorted(os.sched_getaffinity(0) | {0})
    if len(usable) > 1:
        os.sched_setaffinity(0, usable[1:])
        for pid in server.serving_pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), usable[:1])


async def _round(server: Server, result: Result, clients: int, size: int, seconds: float) -> None:
    pids = server.serving_pids()
    cpu, started = cpu_seconds(pids), time.perf_counter()
    count = await echo(server.port, clients=clients, size=size, seconds=seconds)
    result.rates.append(count / (time.perf_counter() - started))
    result.cpu_rates.append(count / (cpu_seconds(pids) - cpu))


def show(results: dict[str, Result], title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    for column in ("", "messages/s", "per CPU second", "KB per idle socket"):
        table.add_column(column, justify="right" if column else "left")
    for name, result in results.items():
        rate, cpu = statistics.median(result.rates), statistics.median(result.cpu_rates)
        table.add_row(name, f"{rate:,.0f}", f"{cpu:,.0f}", f"{result.kb_per_socket:.1f}")
    Console().print(table)


@click.command()
@number("--rounds", 5, "Rounds for each server.")
@number("--seconds", 2, "Duration of a round, in seconds.")
@number("--clients", 8, "WebSockets, each with one message on its way.")
@number("--size", 64, "Bytes of a message, at most 125.")
@number("--idle", 1000, "Idle WebSockets for the memory.")
@click.option("--kb", default=24.0, show_default=True, help="Most KB per idle WebSocket.")
def main(rounds: int, seconds: int, clients: int, size: int, idle: int, kb: float) -> None:
    """Compare WebSockets under gunicorn with those under uvicorn."""
    results = {name: Result() for name in SETUPS}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serve(spec, target))
            for name, (spec, target) in SETUPS.items()
        }
        for name, server in servers.items():
            pin(server)
            asyncio.run(_round(server, Result(), clients, size, 0.5))
            results[name].kb_per_socket = asyncio.run(idle_kb(server, idle))
        for _ in track(range(rounds), "Measuring", transient=True, console=Console(stderr=True)):
            for name, server in servers.items():
                asyncio.run(_round(server, results[name], clients, size, seconds))
    show(results, f"Echo of {size} bytes, {clients} WebSockets")
    medians = {name: statistics.median(result.cpu_rates) for name, result in results.items()}
    fastest = max(rate for name, rate in medians.items() if name != BRIDGE)
    if medians[BRIDGE] < fastest or results[BRIDGE].kb_per_socket > kb:
        sys.exit(1)


if __name__ == "__main__":
    main()

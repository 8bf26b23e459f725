"""``python -m benchmarks.websockets_beside``: HTTP to a WSGI app while many WebSockets are open.

Input: `tests/apps/beside.py`, Flask and a WebSocket echo in one Router, under uvicorn or under
gunicorn's gthread worker. Output: a table of latencies with and without open sockets, and their
ratio. Exit code 1 if a request or a socket was lost, or if the ratio of the p99 exceeds the limit.

Rounds without and with sockets alternate, so that a slow moment of the machine affects both. Each
round with sockets ends with an echo on every one of them. The server runs on one CPU, this process
on another.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.options import number
from benchmarks.websocket_echo import pin
from tests.harness.beside import Answer, answering, load, open_sockets
from tests.harness.ports import HOST
from tests.harness.servers import SERVERS, Server, ServerSpec, serve

TARGET = "tests.apps.beside:app"
POINTS = (("p50", 50), ("p90", 90), ("p99", 99))

# By port: under uvicorn, Nagle's algorithm is on for a socket inherited as a file descriptor.
UVICORN = replace(
    SERVERS["uvicorn-uvloop"],
    inherits_socket=False,
    command=lambda at, target: [
        *("uvicorn", target, "--host", HOST, "--port", str(at.port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ],
)

SPECS: Mapping[str, ServerSpec] = {"uvicorn": UVICORN, "gunicorn": SERVERS["gunicorn-gthread"]}
DESCRIPTORS_BESIDE_SOCKETS = 512


@dataclass
class Side:
    """All rounds with sockets, or all without.

    :ivar points: the latencies of each round in ms, by name.
    """

    name: str
    lost_requests: int = 0
    lost_sockets: int = 0
    points: list[dict[str, float]] = field(default_factory=list)

    def add(self, answers: Sequence[Answer]) -> None:
        """Add the responses of one round."""
        self.lost_requests += sum(answer.status != 200 for answer in answers)
        cuts = statistics.quantiles((answer.took_s * 1000 for answer in answers), n=100)
        self.points.append({name: cuts[percent - 1] for name, percent in POINTS})

    def median(self, point: str) -> float:
        """The median of all rounds, in ms."""
        return statistics.median(each[point] for each in self.points)


async def measure(
    server: Server, *, rounds: int, sockets: int, requests: int, connections: int
) -> tuple[Side, Side]:
    """Warm up, then measure without and with sockets, alternating."""
    without, beside = Side("no sockets"), Side(f"{sockets} sockets open")
    http = {"requests": requests, "connections": connections}
    await load(server.port, "/", **http)
    for _ in track(range(rounds), "Measuring", transient=True, console=Console(stderr=True)):
        without.add(await load(server.port, "/", **http))
        async with open_sockets(server.port, "/ws", sockets) as opened:
            beside.add(await load(server.port, "/", **http))
            beside.lost_sockets += sockets - await answering(opened)
    return without, beside


def ratio(without: Side, beside: Side, point: str) -> float:
    """The median of the ratios of the rounds: each compares two successive measurements."""
    pairs = zip(without.points, beside.points, strict=True)
    return statistics.median(b[point] / a[point] for a, b in pairs)


def show(title: str, without: Side, beside: Side) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    for column in ("", *(f"{name}, ms" for name, _ in POINTS), "lost requests", "lost sockets"):
        table.add_column(column, justify="left" if not column else "right")
    for side in (without, beside):
        latencies = (f"{side.median(name):.2f}" for name, _ in POINTS)
        table.add_row(side.name, *latencies, str(side.lost_requests), str(side.lost_sockets))
    table.add_row("ratio", *(f"{ratio(without, beside, name):.2f} x" for name, _ in POINTS))
    Console().print(table)


def allow(sockets: int) -> None:
    """Raise the soft limit of descriptors for that many, for this process and the server's.

    :raises click.UsageError: the hard limit is lower.
    """
    needed = sockets + DESCRIPTORS_BESIDE_SOCKETS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise click.UsageError(
            f"{sockets} sockets need {needed} file descriptors, and the hard limit is {hard}: "
            "raise it with ulimit -Hn"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@click.command()
@click.option("--server", type=click.Choice(list(SPECS)), default="uvicorn", show_default=True)
@number("--rounds", 5, "Rounds with and without sockets.")
@number("--sockets", 500, "Open WebSockets.")
@number("--requests", 10_000, "HTTP requests per round.", least=100)
@number("--connections", 16, "HTTP connections.")
@click.option("--limit", default=1.5, show_default=True, help="Highest accepted ratio of the p99.")
def main(
    server: str, rounds: int, sockets: int, requests: int, connections: int, limit: float
) -> None:
    """Measure HTTP while WebSockets are open, and fail if it is slower than the limit."""
    allow(sockets)
    with serve(SPECS[server], TARGET) as running:
        pin(running)
        without, beside = asyncio.run(
            measure(
                running,
                rounds=rounds,
                sockets=sockets,
                requests=requests,
                connections=connections,
            )
        )
    show(f"Flask through bridge.Router on {server}, {connections} connections", without, beside)
    lost = without.lost_requests + beside.lost_requests + beside.lost_sockets
    if lost or ratio(without, beside, "p99") > limit:
        sys.exit(1)


if __name__ == "__main__":
    main()

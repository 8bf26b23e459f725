"""``python -m benchmarks.loop_lag``: how late the event loop runs beside threads that compute.

``THREADS`` clients request a page that computes for ``PAGE_S`` of CPU time, without a pause: a WSGI
app, on as many threads. Beside it, in the same process, an ASGI app measures every ``SAMPLE_S`` how
late the loop is, and a client sends messages to a WebSocket that returns them. Output: tables, and
with ``--out`` a JSON and a picture.

Rounds of the contenders alternate, so that a slow moment of the machine affects all; a figure is
the median of the rounds. What counts is the difference: the lag of an idle server is in the table.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import a2wsgi
import click
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

import bridge
from benchmarks.machine import facts
from benchmarks.options import number, out, write_files
from benchmarks.side_by_side import Contender, uvicorn
from bridge.cli.bench.processes import HOST, run_server
from bridge.cli.bench.svg import box, picture, text
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse

__all__ = ["Outcome", "draw", "markdown"]

THREADS = 8
PAGE_S = 0.1
SAMPLE_S = 0.005
TARGETS_S = (0.02, 0.01)
WARM_UP_S = 2.0
MESSAGE_PAUSE_S = 0.01
SWITCH_S = 0.001
REQUEST = b"GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"
POINTS = ("lag_p50_ms", "lag_p99_ms", "echo_p50_ms", "echo_p99_ms", "pages")


# -- the apps, in the server -----------------------------------------------------------------------


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Compute."""
    end = time.thread_time() + PAGE_S
    while time.thread_time() < end:
        sum(range(500))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"done\n"]


class Beside:
    """``wsgi`` for HTTP requests; beside it an echo for WebSockets, and the lags at ``/lags``.

    ``/lags`` answers with those since the last request for it, in seconds.
    """

    def __init__(self, wsgi: AsgiApp, switch_s: float | None = None) -> None:
        self._wsgi = wsgi
        self._switch_s = switch_s
        self._lags_s: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await _echo(receive, send)
        elif scope["path"] == "/lags":
            if self._task is None:
                self._task = asyncio.create_task(self._measure())
                if self._switch_s is not None:
                    sys.setswitchinterval(self._switch_s)
            lags_s, self._lags_s = self._lags_s, []
            body = json.dumps(lags_s).encode()
            headers = [(b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await self._wsgi(scope, receive, send)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self._lags_s.append(max(0.0, loop.time() - due))


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def _through_bridge(target_s: float | None = None, switch_s: float | None = None) -> Beside:
    wsgi = bridge.to_asgi(page, threads=THREADS, wait_target_s=None, loop_lag_target_s=target_s)
    return Beside(wsgi, switch_s)


plain = _through_bridge()
target_20_ms, target_10_ms = map(_through_bridge, TARGETS_S)
often = _through_bridge(switch_s=SWITCH_S)
peer = Beside(a2wsgi.WSGIMiddleware(page, workers=THREADS))  # type: ignore[arg-type]  # own types

IDLE = "no requests"
OURS = "bridge, loop_lag_target_s="


def contenders() -> list[Contender]:
    """Each with as many threads and clients, except the first, which nobody requests."""
    here = "benchmarks.loop_lag"
    return [
        uvicorn(IDLE, f"{here}:plain"),
        uvicorn("bridge", f"{here}:plain"),
        uvicorn("bridge, switch interval 1 ms", f"{here}:often"),
        uvicorn(f"{OURS}0.02", f"{here}:target_20_ms"),
        uvicorn(f"{OURS}0.01", f"{here}:target_10_ms"),
        uvicorn("a2wsgi", f"{here}:peer"),
    ]


# -- the load --------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What was measured of one contender; each list has a value for each round.

    :ivar pages: per second.
    :ivar missing: responses that were no pages.
    """

    contender: str
    lag_p50_ms: list[float] = field(default_factory=list)
    lag_p99_ms: list[float] = field(default_factory=list)
    echo_p50_ms: list[float] = field(default_factory=list)
    echo_p99_ms: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    missing: int = 0

    def median(self, point: str) -> float:
        """Of the rounds."""
        values: list[float] = getattr(self, point)
        return statistics.median(values)


class Load:
    """Requests and messages to one server, until it is stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopped = asyncio.Event()
        self.pages = 0
        self.missing = 0
        self.echoes_s: list[float] = []

    async def fetch(self, request: bytes) -> bytes:
        """The body of one response."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        writer.write(request)
        response = await reader.read()
        writer.close()
        return response.partition(b"\r\n\r\n")[2]

    async def request_pages(self) -> None:
        """Request one page after the other."""
        while not self._stopped.is_set():
            if await self.fetch(REQUEST) == b"done\n":
                self.pages += 1
            else:
                self.missing += 1

    async def send_messages(self) -> None:
        """Send a message, and a moment after it has come back the next one."""
        async with connect(f"ws://{HOST}:{self._port}/echo", ping_interval=None) as socket:
            while not self._stopped.is_set():
                sent_at = time.perf_counter()
                await socket.send("hello")
                await socket.recv()
                self.echoes_s.append(time.perf_counter() - sent_at)
                await asyncio.sleep(MESSAGE_PAUSE_S)

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()


async def measure(port: int, clients: int, seconds: float, outcome: Outcome) -> None:
    """One round: warm up, then count for some seconds."""
    load = Load(port)
    lags = REQUEST.replace(b"GET / ", b"GET /lags ")
    running = [asyncio.create_task(load.request_pages()) for _ in range(clients)]
    running.append(asyncio.create_task(load.send_messages()))
    await load.fetch(lags)
    await asyncio.sleep(WARM_UP_S)
    await load.fetch(lags)
    began, pages, echoes = time.perf_counter(), load.pages, len(load.echoes_s)
    await asyncio.sleep(seconds)
    lags_s: list[float] = json.loads(await load.fetch(lags))
    pages, took_s = load.pages - pages, time.perf_counter() - began
    echoes_s = load.echoes_s[echoes:]
    load.stop()
    await asyncio.gather(*running)
    outcome.pages.append(pages / took_s)
    outcome.missing += load.missing
    for name, times_s in {"lag": lags_s, "echo": echoes_s}.items():
        cuts = statistics.quantiles((each * 1000 for each in times_s), n=100)
        getattr(outcome, f"{name}_p50_ms").append(cuts[49])
        getattr(outcome, f"{name}_p99_ms").append(cuts[98])


# -- the report ------------------------------------------------------------------------------------

HEADER = (
    "",
    "loop lag p50, ms",
    "p99, ms",
    "WebSocket echo p50, ms",
    "p99, ms",
    "pages per second",
)


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each contender."""
    return [
        [each.contender, *(f"{each.median(point):.1f}" for point in POINTS)] for each in outcomes
    ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table as a page."""
    lines = [list(HEADER), ["---", *["--:"] * len(POINTS)], *rows(outcomes)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


LEFT, TOP, ROW, BAR, SPAN = 230, 74, 58, 18, 420


def draw(outcomes: Sequence[Outcome]) -> str:
    """Two bars for each contender: the median and the 99th percentile of the loop's lag."""
    title = f"How late the event loop runs beside {THREADS} computing threads, in ms"
    parts = [
        text(10, 24, title, "title"),
        text(LEFT, 50, "upper bar: p50; lower bar: p99", "small"),
    ]
    most = max(each.median("lag_p99_ms") for each in outcomes)
    for row, each in enumerate(outcomes):
        y = TOP + row * ROW
        label, _, option = each.contender.partition(", ")
        parts.append(text(10, y + 16, label))
        parts.append(text(10, y + 33, option, "small"))
        kind = "ours" if each.contender.startswith(OURS) else "theirs"
        for place, point in enumerate(("lag_p50_ms", "lag_p99_ms")):
            value, at = each.median(point), y + place * (BAR + 2)
            size = max(1.0, value / most * SPAN)
            parts.append(box(kind, LEFT, at, size, BAR))
            parts.append(text(LEFT + size + 6, at + 14, f"{value:.1f}", "small"))
    description = "; ".join(
        f"{each.contender}: p50 {each.median('lag_p50_ms'):.1f}, "
        f"p99 {each.median('lag_p99_ms'):.1f}"
        for each in outcomes
    )
    return picture(TOP + len(outcomes) * ROW, title, description, parts)


def print_table(outcomes: Sequence[Outcome], rounds: int, seconds: int) -> None:
    """Print the medians of the rounds."""
    table = Table(title=f"medians of {rounds} rounds of {seconds} s, {THREADS} computing threads")
    for place, name in enumerate(HEADER):
        table.add_column(name, justify="right" if place else "left")
    for row in rows(outcomes):
        table.add_row(*row)
    Console(width=110).print(table)


@click.command()
@number("--rounds", 5, "Rounds of each contender.")
@number("--seconds", 6, "Duration of each round, in seconds.")
@out("loop-lag")
def main(rounds: int, seconds: int, out: Path | None) -> None:
    """Measure the event loop's lag beside computing threads. Takes five minutes."""
    found = {each.name: Outcome(each.name) for each in contenders()}
    for _ in range(rounds):
        for contender in contenders():
            outcome = found[contender.name]
            clients = 0 if contender.name == IDLE else THREADS
            with run_server(contender.name, contender.command, env=contender.env) as server:
                asyncio.run(measure(server.port, clients, seconds, outcome))
            last = {point: round(getattr(outcome, point)[-1], 1) for point in POINTS}
            click.echo(json.dumps({"contender": contender.name, **last}), err=True)
    outcomes = list(found.values())
    print_table(outcomes, rounds, seconds)
    if out is not None:
        write(outcomes, {"rounds": rounds, "seconds": seconds}, out)


def write(outcomes: Sequence[Outcome], settings: dict[str, Any], folder: Path) -> None:
    """Write the results, the table and the picture."""
    data = {
        "machine": facts(),
        "threads": THREADS,
        "page_cpu_s": PAGE_S,
        **settings,
        "outcomes": [asdict(each) for each in outcomes],
    }
    write_files(folder, "loop-lag", data, markdown(outcomes), draw(outcomes))


if __name__ == "__main__":
    main()

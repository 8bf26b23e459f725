"""``python -m benchmarks.overload``: useful responses while more requests come than can be served.

The app waits for ``SERVICE_S`` in each request, so ``THREADS`` threads serve ``CAPACITY`` requests
per second. The load is open: requests come at a multiple of that, however slowly they are answered,
each on a connection of its own, and the client leaves after its patience. A response with status
200 that has arrived by then is *useful*. Output: tables, and with ``--out`` a JSON and a picture.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import a2wsgi
import click
from rich.console import Console
from rich.table import Table

import bridge
from benchmarks.machine import facts
from benchmarks.options import number, out, write_files
from benchmarks.side_by_side import Contender, gthread, uvicorn
from bridge.cli.bench.processes import HOST, RunningServer, run_server
from bridge.cli.bench.svg import box, picture, text
from bridge.types import Environ, StartResponse

__all__ = ["Outcome", "draw", "markdown"]

THREADS = 5
SERVICE_S = 0.1
CAPACITY = round(THREADS / SERVICE_S)
MULTIPLES = (1, 2, 3, 5, 10)
PATIENCES_S = (0.5, 1.0, 5.0)
REQUEST = b"GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"
OURS = "bridge"


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Wait, as for a database."""
    time.sleep(SERVICE_S)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"done\n"]


through_bridge = bridge.to_asgi(app, threads=THREADS)
in_order = bridge.to_asgi(app, threads=THREADS, wait_target_s=None)
through_a2wsgi = a2wsgi.WSGIMiddleware(app, workers=THREADS)  # type: ignore[arg-type]  # own types


def contenders() -> list[Contender]:
    """Each with as many threads."""
    here = "benchmarks.overload"
    return [
        uvicorn(OURS, f"{here}:through_bridge"),
        uvicorn("bridge, wait_target_s=None", f"{here}:in_order"),
        uvicorn("a2wsgi", f"{here}:through_a2wsgi"),
        gthread("gunicorn gthread", f"{here}:app", THREADS),
    ]


@dataclass
class Outcome:
    """One load on one server.

    :ivar useful: per second of the load.
    :ivar refused: responses with status 503.
    :ivar left: clients that left without a response, or before its end.
    :ivar failed: connections that the server refused or closed, and other statuses.
    :ivar refusal_ms: the median time to a 503; None if there was none.
    :ivar slowest_useful_ms: the 99th percentile of the useful responses.
    :ivar log_lines: what the server has logged.
    """

    contender: str
    patience_s: float
    multiple: float
    useful: float = 0.0
    refused: int = 0
    left: int = 0
    failed: int = 0
    refusal_ms: float | None = None
    slowest_useful_ms: float | None = None
    log_lines: int = 0


# -- the load --------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What the clients have seen; times in seconds after the connection was requested."""

    useful_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)
    left: int = 0
    failed: int = 0


class Client(asyncio.Protocol):
    """One request. Leaves after its patience."""

    def __init__(self, counts: Counts, started: float, patience_s: float) -> None:
        self._counts = counts
        self._started = started
        self._patience_s = patience_s
        self._head = b""
        self._has_left = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(REQUEST)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._started + self._patience_s, self._leave)

    def data_received(self, data: bytes) -> None:
        self._head += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self.ended.set_result(None)
        if self._has_left:
            return
        took_s = asyncio.get_running_loop().time() - self._started
        if b" 200 " in self._head[:20] and self._head.endswith(b"done\n"):
            self._counts.useful_s.append(took_s)
        elif b" 503 " in self._head[:20]:
            self._counts.refusals_s.append(took_s)
        else:
            self._counts.failed += 1

    def _leave(self) -> None:
        self._has_left = True
        self._counts.left += 1
        self._transport.abort()


async def send(port: int, rate: float, seconds: float, patience_s: float) -> Counts:
    """Send ``rate`` requests per second, evenly, and wait until each has ended."""
    loop = asyncio.get_running_loop()
    counts, clients = Counts(), list[asyncio.Task[None]]()

    async def connect(started: float) -> None:
        client = Client(counts, started, patience_s)
        try:
            await loop.create_connection(lambda: client, HOST, port)
        except OSError:
            counts.failed += 1
        else:
            await client.ended

    begun = loop.time()
    for count in range(round(rate * seconds)):
        due = begun + count / rate
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        clients.append(loop.create_task(connect(due)))
    await asyncio.gather(*clients)
    return counts


def measure(contender: Contender, multiple: float, patience_s: float, seconds: float) -> Outcome:
    """Load a server that has just been started."""
    with run_server(contender.name, contender.command, env=contender.env) as server:
        asyncio.run(send(server.port, CAPACITY / 2, 1, 10))  # its code is loaded, and its threads
        before = _log_lines(server)
        gc.disable()
        counts = asyncio.run(send(server.port, CAPACITY * multiple, seconds, patience_s))
        gc.enable()
        lines = _log_lines(server) - before
    slowest = statistics.quantiles(counts.useful_s, n=100)[-1] if len(counts.useful_s) > 1 else None
    refusal = statistics.median(counts.refusals_s) if counts.refusals_s else None
    return Outcome(
        contender.name,
        patience_s,
        multiple,
        useful=len(counts.useful_s) / seconds,
        refused=len(counts.refusals_s),
        left=counts.left,
        failed=counts.failed,
        refusal_ms=None if refusal is None else refusal * 1000,
        slowest_useful_ms=None if slowest is None else slowest * 1000,
        log_lines=lines,
    )


def _log_lines(server: RunningServer) -> int:
    server.log_file.flush()
    return Path(server.log_file.name).read_bytes().count(b"\n")


# -- the report ------------------------------------------------------------------------------------

HEADER = ("clients wait", "", *(f"{multiple} x" for multiple in MULTIPLES))


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each patience and contender: useful responses per second at each multiple."""
    found: dict[tuple[float, str], list[str]] = {}
    for each in outcomes:
        cells = found.setdefault((each.patience_s, each.contender), [])
        cells.append(f"{each.useful:.0f}")
    return [
        [f"{patience_s:g} s", contender, *cells] for (patience_s, contender), cells in found.items()
    ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table as a page."""
    lines = [list(HEADER), ["---", "---", *["--:"] * len(MULTIPLES)], *rows(outcomes)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


LEFT, TOP, PANEL, ROW, BAR = 190, 78, 184, 92, 26


def draw(outcomes: Sequence[Outcome]) -> str:
    """A panel of bars for each contender, below each other, and each patience, side by side."""
    patiences = list(dict.fromkeys(each.patience_s for each in outcomes))
    names = list(dict.fromkeys(each.contender for each in outcomes))
    title = f"Useful responses per second, of {CAPACITY} that can be served"
    parts = [text(10, 24, title, "title")]
    for column, patience_s in enumerate(patiences):
        x = LEFT + column * PANEL
        parts.append(text(x, 54, f"clients wait {patience_s:g} s", "small"))
        for row, name in enumerate(names):
            chosen = [o for o in outcomes if (o.contender, o.patience_s) == (name, patience_s)]
            parts += _panel(chosen, x, TOP + row * ROW)
    for row, name in enumerate(names):
        label, _, option = name.partition(", ")
        parts.append(text(10, TOP + row * ROW + 34, label))
        parts.append(text(10, TOP + row * ROW + 52, option, "small"))
    bottom = TOP + len(names) * ROW
    parts.append(text(LEFT, bottom + 8, "requests, as a multiple of what can be served", "small"))
    description = "; ".join(
        f"{each.contender}, {each.multiple:g} times, clients wait {each.patience_s:g} s: "
        f"{each.useful:.0f}"
        for each in outcomes
    )
    return picture(bottom + 20, title, description, parts)


def _panel(outcomes: Sequence[Outcome], left: float, top: float) -> list[str]:
    height = ROW - 36
    parts = [f'<path class="grid" d="M{left} {top}h{PANEL - 24}"/>']
    for place, each in enumerate(outcomes):
        x, size = left + place * (BAR + 6), max(1.0, each.useful / CAPACITY * height)
        y, middle = top + height - size, x + BAR / 2
        parts.append(box("ours" if each.contender == OURS else "theirs", x, y, BAR, size))
        parts.append(text(middle, y - 3, f"{each.useful:.0f}", "small", "middle"))
        parts.append(text(middle, top + height + 14, f"{each.multiple:g}x", "small", "middle"))
    return parts


def print_table(outcomes: Sequence[Outcome], seconds: int) -> None:
    """Print the useful responses, and how fast and how often others were refused."""
    table = Table(title=f"useful responses per second, of {CAPACITY}; loads of {seconds} s")
    for place, name in enumerate(HEADER):
        table.add_column(name, justify="right" if place > 1 else "left")
    for row in rows(outcomes):
        table.add_row(*row)
    Console(width=100).print(table)


@click.command()
@number("--seconds", 10, "Duration of each load, in seconds.")
@out("overload")
def main(seconds: int, out: Path | None) -> None:
    """Load each server with multiples of what it can serve. Takes a quarter of an hour."""
    outcomes = []
    for patience_s in PATIENCES_S:
        for contender in contenders():
            for multiple in MULTIPLES:
                outcomes.append(measure(contender, multiple, patience_s, seconds))
                click.echo(json.dumps(asdict(outcomes[-1])), err=True)
    print_table(outcomes, seconds)
    if out is not None:
        write(outcomes, seconds, out)


def write(outcomes: Sequence[Outcome], seconds: int, folder: Path) -> None:
    """Write the results, the table and the picture."""
    data = {
        "machine": facts(),
        "seconds": seconds,
        "capacity": CAPACITY,
        "outcomes": [asdict(each) for each in outcomes],
    }
    write_files(folder, "overload", data, markdown(outcomes), draw(outcomes))


if __name__ == "__main__":
    main()

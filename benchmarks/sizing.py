"""``python -m benchmarks.sizing``: the model of ``bridge plan-capacity``, against measurements.

The app waits for as long as the path says; a middleware records when each call began and ended on
its thread. The load is open: requests come independently of each other (Poisson) at three shares of
what the threads can serve, each on a connection of its own. All processes read the same monotonic
clock, so the wait of a request is the time from sending it to the begin of the call. The model gets
the rate, the times on the thread, and the time to the begin of a call that finds a thread free, *as
measured*; what it says of the busy threads and the wait is compared with the measurement. Output: a
table, and with ``--out`` files.

A WSGI app runs behind ``to_asgi`` on uvicorn, on threads of bridge; an ASGI app behind ``to_wsgi``
on gunicorn, on threads of the server. The servers are idle most of the time, so all loads of a
round run at once.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import math
import random
import statistics
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import bridge
from benchmarks.machine import facts
from benchmarks.options import number
from benchmarks.side_by_side import Contender, gthread, uvicorn
from bridge.cli.bench.processes import HOST, RunningServer, run_server
from bridge.cli.capacity.queueing import ThreadQueue
from bridge.types import Environ, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["Request", "judge", "markdown"]

THREADS = 8
SERVICE_S = 0.25
LOADS = (0.5, 0.7, 0.85)
DISTRIBUTIONS = ("exponential", "constant")
WARM_UP_S = 10.0
"""The load before the measurement, until the queue is in its steady state."""
REQUEST = "GET {} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n"


def held_s(path: str) -> float:
    """``/7/0.25`` is request 7, which holds its thread for 0.25 s."""
    return float(path.rpartition("/")[2])


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Wait, as for a database."""
    time.sleep(held_s(environ["PATH_INFO"]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"done\n"]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait, while the server's thread waits for the response."""
    await asyncio.sleep(held_s(scope["path"]))
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done\n"})


class Timed:
    """A WSGI app that records when each call of another begins and its response is closed.

    ``/times`` answers with the records since the last time: number, begin, end.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._times: deque[tuple[int, float, float]] = deque()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/times":
            body = json.dumps([self._times.popleft() for _ in range(len(self._times))]).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        return self._timed(time.monotonic(), environ, start_response)

    def _timed(
        self, began: float, environ: Environ, start_response: StartResponse
    ) -> Iterator[bytes]:
        body = self._app(environ, start_response)
        try:
            yield from body
        finally:
            if hasattr(body, "close"):
                body.close()
            number = int(environ["PATH_INFO"].split("/")[1])
            self._times.append((number, began, time.monotonic()))


on_uvicorn = bridge.to_asgi(Timed(wsgi_app), threads=THREADS, wait_target_s=None)
on_gunicorn = Timed(bridge.to_wsgi(asgi_app))


def contenders() -> list[Contender]:
    """Each with as many threads. bridge refuses nothing: the model knows no refusals."""
    return [
        uvicorn("to_asgi on uvicorn", "benchmarks.sizing:on_uvicorn"),
        gthread("to_wsgi on gunicorn", "benchmarks.sizing:on_gunicorn", THREADS),
    ]


# -- the load --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """When a request was sent, and when its call began and ended: monotonic, in seconds."""

    sent: float
    began: float
    ended: float


async def fetch(port: int, path: str) -> tuple[float, bytes]:
    """:returns: when the request was sent, and the body of the response."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**24)
    try:
        sent = time.monotonic()
        writer.write(REQUEST.format(path).encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise click.ClickException(f"{path} was answered with {head[:40]!r}")
        return sent, body
    finally:
        writer.close()


def hold_times(distribution: str, count: int) -> list[float]:
    """As many service times, in random order, whose mean is that of the distribution."""
    if distribution == "constant":
        return [SERVICE_S] * count
    shares = [(place + 0.5) / count for place in range(count)]
    drawn = [-SERVICE_S * math.log(1 - share) for share in shares]
    random.shuffle(drawn)
    return drawn


async def offer(port: int, distribution: str, load: float, seconds: float) -> list[Request]:
    """Send requests at random moments, however slowly they are answered."""
    loop = asyncio.get_running_loop()
    count = round(THREADS / SERVICE_S * load * seconds)
    moments = sorted(random.uniform(0, seconds) for _ in range(count))
    tasks, begun = [], loop.time()
    for place, hold_s in enumerate(hold_times(distribution, count)):
        await asyncio.sleep(max(0.0, begun + moments[place] - loop.time()))
        tasks.append(loop.create_task(fetch(port, f"/{place}/{hold_s:.6f}")))
    sent = [moment for moment, _ in await asyncio.gather(*tasks)]
    _, records = await fetch(port, "/times")
    return [Request(sent[place], began, ended) for place, began, ended in json.loads(records)]


# -- what was measured, and what the model says ----------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One load on one server. Pairs are the measured number and the model's.

    :ivar service_ms: the mean time from the begin of a call to its end.
    :ivar start_ms: the mean time from sending a request to the begin of its call, where a thread is
        free. The model adds it to the time for which a thread is held, and to each wait.
    :ivar busy: threads that run the app, on average.
    :ivar waited: the share of the requests that found all threads busy.
    :ivar wait_ms: the mean time from sending a request to the begin of its call.
    """

    contender: str
    distribution: str
    load: float
    requests: int
    requests_per_s: float
    service_ms: float
    start_ms: float
    variation: float
    utilisation: float
    busy: tuple[float, float]
    waited: tuple[float, float]
    wait_ms: tuple[float, float]
    wait_p99_ms: tuple[float, float]


def judge(
    contender: str, distribution: str, load: float, all_requests: Sequence[Request], threads: int
) -> Run:
    """Compare the model with the requests after the warm-up.

    Requests that arrive independently of each other see the averages over time, so the busy threads
    and those that waited are counts of arrivals.
    """
    since = min(each.sent for each in all_requests) + WARM_UP_S
    requests = [each for each in all_requests if each.sent >= since]
    sent, began, ended = (
        sorted(getattr(each, name) for each in all_requests) for name in ("sent", "began", "ended")
    )
    busy, waits, free = 0, list[float](), list[float]()
    for each in requests:
        left = bisect.bisect_right(ended, each.sent)
        busy += bisect.bisect_left(began, each.sent) - left
        waits.append(each.began - each.sent)
        if bisect.bisect_left(sent, each.sent) - left < threads:
            free.append(waits[-1])
    served = [each.ended - each.began for each in requests]
    service_s, start_s = statistics.fmean(served), statistics.fmean(free) if free else 0.0
    held_s = service_s + start_s
    rate = len(requests) / (sent[-1] - since)
    queue = ThreadQueue(threads, rate, held_s, statistics.pstdev(served) / held_s)
    return Run(
        contender=contender,
        distribution=distribution,
        load=load,
        requests=len(requests),
        requests_per_s=rate,
        service_ms=service_s * 1000,
        start_ms=start_s * 1000,
        variation=queue.variation,
        utilisation=queue.utilisation,
        busy=(busy / len(requests), rate * service_s),
        waited=(1 - len(free) / len(requests), queue.waiting_probability),
        wait_ms=(statistics.fmean(waits) * 1000, (start_s + queue.mean_wait_s) * 1000),
        wait_p99_ms=(
            statistics.quantiles(waits, n=100)[-1] * 1000,
            (start_s + queue.wait_s(0.99)) * 1000,
        ),
    )


async def _round(
    servers: Mapping[tuple[str, str, float], RunningServer], seconds: int
) -> list[Run]:
    """All loads at once, each on a server of its own."""
    found = await asyncio.gather(
        *(
            offer(server.port, distribution, load, WARM_UP_S + seconds)
            for (_, distribution, load), server in servers.items()
        )
    )
    return [judge(*key, requests, THREADS) for key, requests in zip(servers, found, strict=True)]


# -- the report ------------------------------------------------------------------------------------

HEADER = (
    *("", "service times", "utilisation, %", "threads busy", "model"),
    *("had to wait, %", "model", "mean until begin, ms", "model", "p99, ms", "model"),
    "with a free thread, ms",
)


def rows(runs: Sequence[Run]) -> list[list[str]]:
    """A row for each server, distribution and load: the median over the rounds, and the spread."""
    found: dict[tuple[str, str, float], list[Run]] = {}
    for run in runs:
        found.setdefault((run.contender, run.distribution, run.load), []).append(run)
    return [
        [
            contender,
            distribution,
            _spread([run.utilisation * 100 for run in group], 0),
            *_cells([run.busy for run in group], 2),
            *_cells([(run.waited[0] * 100, run.waited[1] * 100) for run in group], 1),
            *_cells([run.wait_ms for run in group], 1),
            *_cells([run.wait_p99_ms for run in group], 0),
            _spread([run.start_ms for run in group], 1),
        ]
        for (contender, distribution, _), group in found.items()
    ]


def _cells(pairs: Sequence[tuple[float, float]], digits: int) -> list[str]:
    """The measured numbers, and the model's, which has nearly the same input in each round."""
    of_model = statistics.median(pair[1] for pair in pairs)
    return [_spread([pair[0] for pair in pairs], digits), f"{of_model:.{digits}f}"]


def _spread(values: Sequence[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def markdown(runs: Sequence[Run]) -> str:
    """The table as a page."""
    lines = [list(HEADER), ["---", "---", *["--:"] * (len(HEADER) - 2)], *rows(runs)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


@click.command()
@number("--seconds", 180, "Duration of each load, in seconds.")
@number("--rounds", 3, "Rounds of all loads.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write sizing.json and sizing.inc there. Default: no files.",
)
def main(seconds: int, rounds: int, out: Path | None) -> None:
    """Compare the model with servers at three loads. Takes ten minutes."""
    runs = []
    with ExitStack() as stack:
        servers = {
            (each.name, distribution, load): stack.enter_context(
                run_server(each.name, each.command, env=each.env)
            )
            for each in contenders()
            for distribution in DISTRIBUTIONS
            for load in LOADS
        }
        for _ in range(rounds):
            runs += asyncio.run(_round(servers, seconds))
    table = Table(title=f"{THREADS} threads, {SERVICE_S * 1000:.0f} ms; median (min - max)")
    for name in HEADER:
        table.add_column(name)
    for row in rows(runs):
        table.add_row(*row)
    Console(width=160).print(table)
    if out is not None:
        data = {
            "machine": facts(),
            "seconds": seconds,
            "rounds": rounds,
            "threads": THREADS,
            "service_s": SERVICE_S,
            "runs": [asdict(run) for run in runs],
        }
        (out / "sizing.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
        (out / "sizing.inc").write_text(markdown(runs), "utf-8")


if __name__ == "__main__":
    main()

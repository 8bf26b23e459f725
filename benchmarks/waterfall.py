"""Where the time of one request goes, from socket to socket: ``python -m benchmarks.waterfall``.

Sends requests to Flask's hello through bridge on uvicorn, one at a time, on one connection. Prints
the median time of each step; ``--svg FILE`` draws them below each other. The clock is the system's
monotonic one, which client and server share. One request at a time is the slowest case: each
hand-over has to wake a thread that sleeps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

import bridge
from benchmarks.side_by_side import uvicorn
from bridge._threads.job import Job
from bridge.cli.bench.processes import HOST, RunningServer, run_server
from bridge.cli.bench.svg import WIDTH, box, number, picture, text
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse

__all__ = ["Step", "app", "draw", "measure"]

REQUESTS = 3000
WARM_UP = 500
MARKS = ("called", "posted", "entered", "returned", "sending", "sent")


# -- the server: each mark is one reading of the clock ---------------------------------------------

_times: list[dict[str, int]] = []
_flask = Flask(__name__)


@_flask.get("/")
def hello() -> str:
    return "Hello, world!"


class _Pool(bridge.WorkerPool):
    """A pool that reads the clock when it receives a job."""

    def post(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        _mark("posted")
        super().post(job, loop)


def _mark(name: str) -> None:
    _times[-1][name] = time.monotonic_ns()


def _timed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _mark("entered")
    body = list(_flask(environ, start_response))
    _mark("returned")
    return body


_adapter = bridge.to_asgi(_timed, executor=_Pool(4))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The Flask app, timed; ``/times`` returns the readings so far."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/times":
        await _send_times(send)
        return
    _times.append({})
    _mark("called")

    async def timed_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            _mark("sending")
        await send(message)

    await _adapter(scope, receive, timed_send)
    _mark("sent")


async def _send_times(send: Send) -> None:
    body = json.dumps(_times).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# -- the client ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step: who performs it, its start and its end, in µs since the first byte was sent."""

    name: str
    actor: str
    start_us: float
    end_us: float


STEPS = (
    ("request sent and parsed", "server", "wrote", "called"),
    ("scope → environ, body, job", "loop", "called", "posted"),
    ("worker wakes up", "hand-over", "posted", "entered"),
    ("Flask and the view", "worker", "entered", "returned"),
    ("response checked, loop wakes up", "hand-over", "returned", "sending"),
    ("send(), server writes", "loop", "sending", "sent"),
    ("response received", "server", "sending", "read"),
)


def measure(requests: int = REQUESTS) -> list[Step]:
    """Measure the steps; each starts and ends at the median of its marks."""
    contender = uvicorn("waterfall", "benchmarks.waterfall:app")
    with run_server(contender.name, contender.command) as server:
        client_times = _send_requests(server, requests)
        server_times = _fetch_times(server)[-len(client_times) :]
    offsets: dict[str, list[float]] = {name: [] for name in ("wrote", *MARKS, "read")}
    for ours, theirs in zip(client_times, server_times, strict=True):
        for name, at in {**ours, **theirs}.items():
            offsets[name].append((at - ours["wrote"]) / 1000)
    at_us = {name: statistics.median(values) for name, values in offsets.items()}
    return [Step(name, actor, at_us[start], at_us[end]) for name, actor, start, end in STEPS]


def _send_requests(server: RunningServer, requests: int) -> list[dict[str, int]]:
    times = []
    with socket.create_connection((HOST, server.port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for count in range(WARM_UP + requests):
            wrote = time.monotonic_ns()
            client.sendall(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
            while b"Hello" not in client.recv(4096):
                pass
            if count >= WARM_UP:
                times.append({"wrote": wrote, "read": time.monotonic_ns()})
    return times


def _fetch_times(server: RunningServer) -> list[dict[str, int]]:
    with socket.create_connection((HOST, server.port), timeout=30) as client:
        client.sendall(b"GET /times HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as response:
            times: list[dict[str, int]] = json.loads(response.read().partition(b"\r\n\r\n")[2])
    return times


# -- the picture -----------------------------------------------------------------------------------

LEFT, RIGHT, TOP, STEP = 250, 70, 58, 34
LEGEND = "filled: bridge and the app; hatched: wake-ups, the server, the network"
SHAPES = {"worker": "ours", "loop": "ours", "server": "theirs", "hand-over": "theirs"}


def draw(steps: Sequence[Step]) -> str:
    """Draw the steps below each other, each at its position in time."""
    last = max(step.end_us for step in steps)
    scale = (WIDTH - LEFT - RIGHT) / last
    title = f"One request to Flask's hello, alone: {number(last)} µs"
    parts = [text(10, 24, title, "title")]
    for place, step in enumerate(steps):
        parts += _row(step, TOP + place * STEP, scale)
    bottom = TOP + len(steps) * STEP
    parts.append(text(LEFT, bottom + 16, LEGEND, "small"))
    description = "; ".join(
        f"{step.name} ({step.actor}): {number(step.start_us)} to {number(step.end_us)} µs"
        for step in steps
    )
    return picture(bottom + 28, title, description, parts)


def _row(step: Step, top: float, scale: float) -> list[str]:
    x, width = LEFT + step.start_us * scale, max(1.5, (step.end_us - step.start_us) * scale)
    return [
        text(LEFT - 10, top + 12, step.name, "", "end"),
        text(LEFT - 10, top + 26, step.actor, "small", "end"),
        f'<path class="grid" d="M{LEFT} {top + 30}H{WIDTH - 10}"/>',
        box(SHAPES[step.actor], x, top + 2, width, 22),
        text(x + width + 6, top + 18, f"{number(step.end_us - step.start_us)} µs", "small"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the time of one request goes.")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--svg", type=Path, help="write the drawing to this file")
    options = parser.parse_args()
    steps = measure(options.requests)
    for step in steps:
        length = step.end_us - step.start_us
        print(f"{step.start_us:8.1f} {length:8.1f} us  {step.actor:10} {step.name}")
    if options.svg:
        options.svg.write_text(draw(steps), "utf-8")


if __name__ == "__main__":
    main()

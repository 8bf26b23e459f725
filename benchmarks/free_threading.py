"""``python -m benchmarks.free_threading``: requests without the interpreter lock, in process.

Run it with a free-threaded build of Python; ``nox -s free_threading`` builds one. Exit code 1 if

- one of the requests fails, or anything is logged as a warning or an error: half of them go through
  `to_asgi`, from two event loops, the other half through `to_wsgi`, from several threads. Their
  apps stream, read bodies, and call back to the other side;
- a WSGI app that only computes is not faster by ``--gain`` on two threads than with the lock, in
  the same build (``PYTHON_GIL=1``). Rounds with and without the lock alternate, each in a process
  of its own.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import click

import bridge
from benchmarks.options import number
from benchmarks.requests_in_process import HEADERS, make_environ, make_scope
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["main"]

BODY = b"x" * 4000
PIECES = 4
IN_FLIGHT = 64
"""Requests at the same time on each event loop: more than there are threads, so that many wait."""
KINDS = ("/whole", "/pieces", "/body", "/back")
WORK = 20_000
"""Turns of a loop for one request of the app that only computes: about a millisecond."""


# -- the apps: each kind of response has the body BODY ---------------------------------------------


async def _double(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterator[bytes] | list[bytes]:
    kind = environ["PATH_INFO"]
    body = environ["wsgi.input"].read() if kind == "/body" else BODY
    if kind == "/back":
        assert bridge.async_to_sync(_double)(21) == 42
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter(_pieces(body)) if kind == "/pieces" else [body]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    kind, body, more = scope["path"], b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if kind != "/body":
        body = BODY
    if kind == "/back":
        on_server_thread = bridge.sync_to_async(abs)
        on_pool = bridge.sync_to_async(abs, thread_sensitive=False)
        assert await on_server_thread(-42) == await on_pool(-42) == 42
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in _pieces(body) if kind == "/pieces" else ():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if kind == "/pieces" else body})


def _pieces(body: bytes) -> list[bytes]:
    size = len(body) // PIECES
    return [body[start : start + size] for start in range(0, len(body), size)]


def computing_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    total = 0
    for value in range(WORK):
        total += value & 7
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % total]


# -- many requests, none of which may fail ---------------------------------------------------------


class Problems(logging.Handler):
    """Counts what goes wrong, by its text: on any thread, in a ``with`` block."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()

    def __enter__(self) -> Problems:
        self._hooks = threading.excepthook, sys.unraisablehook
        threading.excepthook = lambda hook: self.add(f"in a thread: {hook.exc_value!r}")
        sys.unraisablehook = lambda hook: self.add(f"ignored: {hook.exc_value!r}")
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        threading.excepthook, sys.unraisablehook = self._hooks
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.add(logging.Formatter().format(record))

    def add(self, problem: str) -> None:
        with self._counting:
            self.counts[problem[:2000]] += 1


async def _call_asgi(app: AsgiApp, kind: str) -> None:
    headers = [*HEADERS, (b"content-length", b"%d" % len(BODY))]
    incoming: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in _pieces(BODY)
    ]
    incoming.append({"type": "http.request", "body": b"", "more_body": False})
    messages = iter(incoming)
    sent: list[bytes] = []

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.get_running_loop().create_future()  # an idle client, still connected
        return message or {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message.get("body", b""))
        await asyncio.sleep(0)

    await app({**make_scope(kind, headers), "method": "POST"}, receive, send)
    if b"".join(sent) != BODY:
        raise RuntimeError(f"{kind}: the response is wrong: {b''.join(sent)!r:.80}")


def _call_wsgi(app: WsgiApp, kind: str) -> None:
    environ = {**make_environ(), "REQUEST_METHOD": "POST", "PATH_INFO": kind}
    environ |= {"CONTENT_LENGTH": str(len(BODY)), "wsgi.input": io.BytesIO(BODY)}
    response = app(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        body = b"".join(response)
    finally:
        close = getattr(response, "close", None)
        if close is not None:
            close()
    if body != BODY:
        raise RuntimeError(f"{kind}: the response is wrong: {body!r:.80}")


async def _many_to_asgi(app: AsgiApp, count: int, problems: Problems) -> None:
    left = iter(range(count))

    async def client() -> None:
        for index in left:
            try:
                await _call_asgi(app, KINDS[index % len(KINDS)])
            except Exception as error:
                problems.add(repr(error))

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))


def _many_to_wsgi(app: WsgiApp, count: int, problems: Problems) -> None:
    for index in range(count):
        try:
            _call_wsgi(app, KINDS[index % len(KINDS)])
        except Exception as error:
            problems.add(repr(error))


def send_many(requests: int) -> Counter[str]:
    """Send the requests; returns what went wrong, and how often."""
    problems = Problems()
    to_asgi = bridge.to_asgi(wsgi_app, threads=8)
    to_wsgi = bridge.AsgiToWsgi(asgi_app, lifespan="off")
    share = requests // 4
    clients: list[Callable[[], object]] = [
        lambda: asyncio.run(_many_to_asgi(to_asgi, share, problems)),
        lambda: asyncio.run(_many_to_asgi(to_asgi, share, problems)),
        lambda: _many_to_wsgi(to_wsgi, share, problems),
        lambda: _many_to_wsgi(to_wsgi, share, problems),
    ]
    threads = [threading.Thread(target=client) for client in clients]
    with problems:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    to_wsgi.close()
    return problems.counts


# -- an app that only computes ---------------------------------------------------------------------


async def _compute(seconds: float) -> float:
    """Requests per second of the app that only computes, on two threads."""
    app = bridge.to_asgi(computing_app, threads=2)
    until = time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await app(make_scope(), _receive, _send)
            done += 1

    await asyncio.gather(*(client() for _ in range(4)))
    return done / (time.perf_counter() - until + seconds)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


def _measure(seconds: float, *, gil: bool) -> float:
    command = [sys.executable, "-m", "benchmarks.free_threading", "--compute", str(seconds)]
    env = {**os.environ, "PYTHON_GIL": str(int(gil))}
    ran = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return float(ran.stdout)


def has_no_gil() -> bool:
    """Whether this interpreter runs without its lock."""
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


@click.command()
@number("--requests", 1_000_000, "Requests that must not fail.", least=4)
@number("--rounds", 5, "Rounds with and without the lock.")
@click.option("--seconds", default=3.0, show_default=True, help="Length of a round.")
@click.option("--gain", default=1.6, show_default=True, help="Lowest accepted ratio.")
@click.option("--compute", type=float, hidden=True, help="Print one rate, and nothing else.")
def main(requests: int, rounds: int, seconds: float, gain: float, compute: float | None) -> None:
    """Send requests without the interpreter lock, and measure what two threads gain."""
    if compute is not None:
        print(asyncio.run(_compute(compute)))
        return
    if not has_no_gil():
        raise click.ClickException("this Python has an interpreter lock; see nox -s free_threading")

    started = time.perf_counter()
    problems = send_many(requests)
    took = time.perf_counter() - started
    print(f"{requests:,} requests in {took:.0f} s: {problems.total()} problems")
    for problem, count in problems.most_common(10):
        print(f"{count} times: {problem}")

    pairs = [(_measure(seconds, gil=True), _measure(seconds, gil=False)) for _ in range(rounds)]
    for with_lock, without in pairs:
        print(f"requests/s: {with_lock:.0f} with the lock, {without:.0f} without")
    ratio = statistics.median(without / with_lock for with_lock, without in pairs)
    print(f"an app that only computes, on two threads: {ratio:.2f} times")
    if problems or ratio < gain:
        sys.exit(1)


if __name__ == "__main__":
    main()

"""What a Router adds to a request, by the number of mounts. In process, without server and network.

::

    python -m benchmarks.router_cost

Prints a table of nanoseconds per request: the time of a request through the Router minus that of a
request to the bare app. Both are the shortest of many short rounds in turn, since other activity of
the machine can only add to them. Runs on the main thread; the apps do nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from typing import Any

import bridge
from bridge.types import Environ, Receive, Scope, Send, StartResponse

MOUNTS = (1, 10, 100, 1000)
ROUNDS = 200
HEAD = ("ASGI at /", "ASGI below", "WSGI at /", "WSGI below")


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI app that does nothing."""


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI app that does nothing."""
    return ()


def scope_of(path: str) -> Scope:
    """A scope, as uvicorn builds it for a request of a browser."""
    headers = [(b"header-%d" % number, b"value") for number in range(12)]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }


def call_asgi(app: Any, path: str) -> Callable[[], None]:
    """A function that runs one request to its end."""
    scope = scope_of(path)

    def call() -> None:
        try:
            app(scope, print, print).send(None)
        except StopIteration:
            pass

    return call


def call_wsgi(app: Any, path: str) -> Callable[[], None]:
    """A function that runs one request, with new values for the keys that a Router changes."""
    environ: Environ = {f"HTTP_HEADER_{number}": "value" for number in range(12)}

    def call() -> None:
        environ["SCRIPT_NAME"] = ""
        environ["PATH_INFO"] = path
        app(environ, print)

    return call


def mounts_of(app: Any, number: int) -> dict[str, Any]:
    """``number`` apps, at ``/`` and at prefixes of one or two segments."""
    prefixes = ["/", *(f"/app{each}" + "/v1" * (each % 2) for each in range(1, number))]
    return dict.fromkeys(prefixes, app)


def router_of(app: Any, number: int) -> bridge.Router:
    return bridge.Router(mounts_of(app, number), lifespan="off")


def time_ns(call: Callable[[], None], calls: int) -> float:
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - start) / calls


def added_ns(bare: Callable[[], None], routed: Callable[[], None], calls: int) -> float:
    """How much longer ``routed`` takes than ``bare``."""
    rounds = [(time_ns(bare, calls), time_ns(routed, calls)) for _ in range(ROUNDS)]
    return min(routed for _, routed in rounds) - min(bare for bare, _ in rounds)


def row_of(number: int, calls: int) -> list[float]:
    """The added time at the root and below the last prefix, for an ASGI and for a WSGI app."""
    last = list(mounts_of(None, number))[-1].rstrip("/") + "/x"
    return [
        added_ns(caller(app, path), caller(router_of(app, number), path), calls)
        for app, caller in ((api, call_asgi), (site, call_wsgi))
        for path in ("/", last)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="What a Router adds to a request.")
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    calls = 100 if parser.parse_args().quick else 1_000
    print(f"{'mounts':>8}" + "".join(f"{name:>12}" for name in HEAD) + "   ns")
    for number in MOUNTS:
        print(f"{number:>8}" + "".join(f"{value:>12.0f}" for value in row_of(number, calls)))


if __name__ == "__main__":
    main()

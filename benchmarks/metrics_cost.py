"""What metrics cost each request: bytecode instructions without them and with them.

::

    python -m benchmarks.metrics_cost            # the table
    python -m benchmarks.metrics_cost --check    # fails if a cost that is held is 1 % or more

Two costs are held, as a share of the instructions that the request takes without them:

- *measured*: threads, queues, pools, event loops and sync helpers are measured;
- *counted*: a request that has a record, for an access log for instance, is counted as well.

Only the functions that metrics add to are traced, :data:`TOUCHED`: how often a whole request finds
its thread awake differs by more than metrics cost. The record itself is made once, for whatever
observes requests, and is not a cost of metrics.

The lists that requests append to are taken apart by a thread, once a second: that is not counted.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import bridge
from benchmarks.counting import trace_requests
from benchmarks.in_process import CountingTracer
from benchmarks.requests_in_process import (
    asgi_requests,
    make_environ,
    make_scope,
    wsgi_requests,
)
from bridge.metrics.process_metrics import process_metrics
from bridge.metrics.requests import RequestCounter
from bridge.types import Environ, Receive, Scope, Send

LIMIT = 0.01
REPEATS = 30
TOUCHED = (
    "bridge._threads.pool:_Worker._run_jobs",
    "bridge._observe.record:RequestRecord.start",
    "bridge._observe.record:RequestRecord.end",
)
"""The functions in which a request costs more with metrics, as ``module:qualified name``."""

Wrap = Callable[[Any], Any]
Requests = AbstractContextManager[Callable[[int], float]]


def _hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


async def _hello_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


def _to_asgi(wrap: Wrap) -> Requests:
    return asgi_requests(wrap(bridge.to_asgi(_hello, threads=1)), make_scope())


def _to_wsgi(wrap: Wrap) -> Requests:
    return wsgi_requests(wrap(bridge.to_wsgi(_hello_asgi, lifespan="off")), make_environ())


CASES: dict[str, Callable[[Wrap], Requests]] = {
    "to_asgi, hello": _to_asgi,
    "to_wsgi, hello": _to_wsgi,
}


class _AccessLog:
    """Stands for one: an observer that does nothing."""

    def started(self, record: object) -> None: ...

    def ended(self, record: object) -> None: ...


def _unchanged(app: Any) -> Any:
    return app


def _observed_by(*observers: Any) -> Wrap:
    return lambda app: bridge.observe(
        app, access_log=None, request_id=False, observers=list(observers)
    )


class _TouchedTracer(CountingTracer):
    """Counts the instructions of :data:`TOUCHED` alone."""

    def __init__(self) -> None:
        super().__init__()
        self._touched = {pkgutil.resolve_name(name).__code__ for name in TOUCHED}

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        return super()._enter(frame, event, _) if frame.f_code in self._touched else None


class Cost(NamedTuple):
    """How many instructions metrics add to a request, and how many it takes without them."""

    more: int
    whole: int

    @property
    def share(self) -> float:
        return self.more / self.whole


def instructions(case: str, wrap: Wrap, tracer: CountingTracer) -> int:
    """Of one request, as far as the tracer counts them."""
    counts = trace_requests(partial(CASES[case], wrap), tracer, REPEATS)
    return min(each["instructions"] for each in counts)


def measure() -> dict[str, dict[str, Cost]]:
    """The costs of each case, by name.

    Metrics cannot be switched off again, so what has to be counted without them comes first.
    """
    log = _AccessLog()
    wraps: dict[str, tuple[Wrap, Callable[[RequestCounter], Wrap]]] = {
        "measured": (_unchanged, lambda counter: _unchanged),
        "counted": (_observed_by(log), lambda counter: _observed_by(log, counter)),
    }
    without = {
        (case, name): [
            instructions(case, wrap, tracer()) for tracer in (CountingTracer, _TouchedTracer)
        ]
        for case in CASES
        for name, (wrap, _) in wraps.items()
    }
    counter = process_metrics().measuring.requests
    costs: dict[str, dict[str, Cost]] = {case: {} for case in CASES}
    for (case, name), (whole, touched) in without.items():
        wrap = wraps[name][1](counter)
        more = instructions(case, wrap, _TouchedTracer()) - touched
        costs[case][name] = Cost(more, whole)
    for each in costs.values():
        each["counted"] = each["counted"]._replace(
            more=each["counted"].more - each["measured"].more
        )
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if metrics cost 1 %% or more")
    check = parser.parse_args().check
    costs = measure()
    print(f"{'':20}" + "".join(f"{name:>26}" for name in ("measured", "counted")))
    for case, found in costs.items():
        cells = (f"{each.more} of {each.whole:,}: {each.share:.2%}" for each in found.values())
        print(f"{case:20}" + "".join(f"{cell:>26}" for cell in cells))
    held = [cost.share for found in costs.values() for cost in found.values()]
    return 1 if check and max(held) >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())

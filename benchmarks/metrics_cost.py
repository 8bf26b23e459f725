"""What metrics cost each request: bytecode instructions without them and with them.

::

    python -m benchmarks.metrics_cost            # the table
    python -m benchmarks.metrics_cost --check    # fails if a cost that is held is 1 % or more

The app is what a server imports from `bridge run`, with the same options, once without
``--metrics`` and once with it. The cost is held for requests that go through an adapter, as a share
of the instructions that the whole request takes without metrics. What goes through none is shown.

How often a whole request finds its thread awake differs by more than metrics cost. So only these
functions are counted: :data:`TOUCHED`, to which metrics add something, and those that a request
does not enter at all without metrics.

The lists that requests append to are taken apart by a thread, once a second: that is not counted.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import CodeType, FrameType
from typing import Any, NamedTuple

from benchmarks.counting import trace_requests
from benchmarks.in_process import CountingTracer
from benchmarks.requests_in_process import (
    asgi_requests,
    make_environ,
    make_scope,
    wsgi_requests,
)
from bridge.cli.build_app import AppSpec, build_app
from bridge.cli.metrics import MetricsSpec
from bridge.cli.options import RequestedApp, WsgiOptions
from bridge.types import Environ, Receive, Scope, Send

LIMIT = 0.01 if sys.version_info < (3, 14) else 0.0105
"""On 3.14 an empty view has fewer instructions."""
REPEATS = 30
TOUCHED = (
    "bridge._threads.pool:_Worker._run_jobs",
    "bridge.wsgi_to_asgi.adapter:WsgiToAsgi.__call__",
    "bridge.asgi_to_wsgi.adapter:AsgiToWsgi.__call__",
)
"""The functions in which a request costs more with metrics, as ``module:qualified name``."""


def wsgi_hello(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


async def asgi_hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


class Case(NamedTuple):
    """An app on a server.

    :ivar is_held: the cost has to stay below the limit.
    """

    server: str
    apps: dict[str | None, str]
    is_held: bool = True


CASES = {
    "WSGI on uvicorn": Case("uvicorn", {None: "wsgi_hello"}),
    "ASGI on gunicorn": Case("gunicorn", {None: "asgi_hello"}),
    "Router on uvicorn": Case("uvicorn", {"/": "wsgi_hello", "/api": "asgi_hello"}),
    "ASGI on uvicorn": Case("uvicorn", {None: "asgi_hello"}, is_held=False),
    "WSGI on gunicorn": Case("gunicorn", {None: "wsgi_hello"}, is_held=False),
}


def build(case: Case, metrics: MetricsSpec | None) -> Any:
    """What the server calls."""
    return build_app(
        AppSpec(
            apps=tuple(
                RequestedApp(prefix=prefix, target=f"benchmarks.metrics_cost:{name}")
                for prefix, name in case.apps.items()
            ),
            server=case.server,
            app_dir=None,
            wsgi=WsgiOptions(threads=1),
            root_path="",
            grace_s=30,
            log_level="warning",
            observe={},
            metrics=metrics,
        )
    )


def requests_to(
    case: Case, app: Any
) -> Callable[[], AbstractContextManager[Callable[[int], float]]]:
    """What sends requests to it."""
    if case.server == "gunicorn":
        return lambda: wsgi_requests(app, make_environ())
    return lambda: asgi_requests(app, make_scope())


class _SeeingTracer(CountingTracer):
    """Counts all instructions, and remembers which functions were entered."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[CodeType] = set()

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        self.seen.add(frame.f_code)
        return super()._enter(frame, event, _)


class _TouchedTracer(CountingTracer):
    """Counts the instructions of :data:`TOUCHED`, and of what was not seen without metrics."""

    def __init__(self, seen: Iterable[CodeType]) -> None:
        super().__init__()
        touched = {pkgutil.resolve_name(name).__code__ for name in TOUCHED}
        self._left_out = {*seen} - touched

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        return None if frame.f_code in self._left_out else super()._enter(frame, event, _)


class Cost(NamedTuple):
    """How many instructions metrics add to a request, and how many it takes without them."""

    more: int
    whole: int

    @property
    def share(self) -> float:
        return self.more / self.whole


def instructions(case: Case, app: Any, tracer: CountingTracer) -> int:
    """Of one request, as far as the tracer counts them."""
    counts = trace_requests(requests_to(case, app), tracer, REPEATS)
    return min(each["instructions"] for each in counts)


def measure() -> dict[str, Cost]:
    """The cost in each case, by name.

    Metrics cannot be switched off again, so what has to be counted without them comes first.
    """
    without: dict[str, tuple[int, int, set[CodeType]]] = {}
    for name, case in CASES.items():
        seeing = _SeeingTracer()
        whole = instructions(case, build(case, None), seeing)
        touched = instructions(case, build(case, None), _TouchedTracer(seeing.seen))
        without[name] = whole, touched, seeing.seen
    costs = {}
    for name, (whole, touched, seen) in without.items():
        app = build(CASES[name], MetricsSpec(host="127.0.0.1", port=0, is_shared=False))
        more = instructions(CASES[name], app, _TouchedTracer(seen)) - touched
        costs[name] = Cost(more, whole)
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if metrics cost 1 %% or more")
    check = parser.parse_args().check
    costs = measure()
    for name, cost in costs.items():
        share = f": {cost.share:.2%}" if CASES[name].is_held else ""
        print(f"{name:20}{cost.more:>5} of {cost.whole:>5,}{share}")
    held = [costs[name].share for name, case in CASES.items() if case.is_held]
    return 1 if check and not 0 < min(held) <= max(held) < LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())

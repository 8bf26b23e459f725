"""The path of one warm request through the files of bridge: how far a reader has to follow it.

::

    python -m benchmarks.request_path                  # the table
    python -m benchmarks.request_path --trace to_wsgi  # the calls of one case, a tree per thread
    python -m benchmarks.request_path --check          # fails if a count of switches or files rose
    python -m benchmarks.request_path --write          # records these counts as the baseline

Traces the kinds of request of `benchmarks.requests_in_process`, a `sync_to_async` call and an
`async_to_sync` call. A *call* is the start of a function of bridge, or the resumption of one of its
coroutines or generators. A *switch* is a call in another file than the previous call on the same
thread. Counts are sums over all threads, of the request with the fewest switches out of many: they
are the same on every machine, so a test can hold them (`tests/test_cost.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType

import bridge
from benchmarks.counting import Baseline, Counts, Tracer, hooked, trace_requests
from benchmarks.requests_in_process import CALL_CASES, CASES, Case

__all__ = ["BASELINE", "Call", "RequestPath", "Return", "trace"]

BASELINE = Baseline(
    Path(__file__).with_name("request_path.json"), "python -m benchmarks.request_path", 1.0
)
RECORDED = ("files", "switches")
REPEATS = 300
PACKAGE = str(Path(bridge.__file__).parent) + os.sep
STREAM = "to_asgi, 100 chunks"
"""Left out: how often its two threads meet depends on how fast each of them runs."""
TRACED_CASES: dict[str, Case] = {
    **{name: case for name, case in CASES.items() if name != STREAM},
    **CALL_CASES,
}


@dataclass(frozen=True)
class Call:
    """The start or the resumption of a function; ``file`` is relative to the package."""

    file: str
    function: str


class Return:
    """The return or the suspension of the function that was called last and has not returned."""


@dataclass(frozen=True)
class RequestPath:
    """What one request calls.

    :ivar threads: the calls and returns of each thread in order, by the name of the thread.
    """

    threads: dict[str, Sequence[Call | Return]]

    def calls(self) -> list[list[Call]]:
        """The calls of each thread."""
        return [
            [event for event in events if isinstance(event, Call)]
            for events in self.threads.values()
        ]

    def counts(self) -> Counts:
        by_thread = self.calls()
        all_calls = [call for calls in by_thread for call in calls]
        return {
            "switches": sum(a.file != b.file for calls in by_thread for a, b in pairwise(calls)),
            "files": len({call.file for call in all_calls}),
            "functions": len(set(all_calls)),
            "calls": len(all_calls),
        }

    def tree(self) -> str:
        """The calls of each thread, indented by depth."""
        lines = []
        for name, events in self.threads.items():
            lines.append(f"thread {name}")
            depth = 1
            for event in events:
                if isinstance(event, Call):
                    lines.append(f"{'  ' * depth}{event.file}  {event.function}")
                    depth += 1
                else:  # a function may return that was called before the request
                    depth = max(1, depth - 1)
        return "\n".join(lines)


class PathTracer(Tracer[RequestPath]):
    """Records the calls of bridge's functions on each thread."""

    def __init__(self) -> None:
        self._threads: dict[int, list[Call | Return]] = {}

    def installed(self) -> AbstractContextManager[None]:
        return hooked(self._record, sys.getprofile, threading.setprofile, sys.setprofile)

    def progress(self) -> int:
        return sum(map(len, list(self._threads.values())))

    def take(self) -> RequestPath:
        taken, self._threads = self._threads, {}
        sys.setprofile(None)  # `Thread.ident` of a worker thread is a function of bridge
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        sys.setprofile(self._record)
        return RequestPath(
            {f"{n} ({names.get(ident)})": taken[ident] for n, ident in enumerate(taken, 1)}
        )

    def _record(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(PACKAGE):
            return
        events = self._threads.setdefault(threading.get_ident(), [])
        if event == "call":
            file = code.co_filename.removeprefix(PACKAGE).replace(os.sep, "/")
            events.append(Call(file, code.co_qualname))
        else:
            events.append(Return())


def trace(case: Case, tracer: PathTracer) -> RequestPath:
    """Trace one kind of request.

    :param tracer: the same for all cases of a process: a thread that one case starts and another
        uses, such as the event loop's, keeps the tracer that it was started with.
    """
    paths = trace_requests(case, tracer, REPEATS)
    return min(paths, key=lambda each: [*each.counts().values()])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = Baseline.add_options(parser)
    modes.add_argument("--trace", metavar="CASE", help="print the calls of cases with this name")
    options = parser.parse_args()
    tracer = PathTracer()
    if options.trace is not None:
        chosen = {name: case for name, case in TRACED_CASES.items() if options.trace in name}
        if not chosen:
            parser.error(f"--trace: no case {options.trace!r}. Cases: {', '.join(TRACED_CASES)}")
        for name, case in chosen.items():
            print(f"{name}\n{trace(case, tracer).tree()}")
        return 0
    found = {name: trace(case, tracer).counts() for name, case in TRACED_CASES.items()}
    recorded = {name: {key: counts[key] for key in RECORDED} for name, counts in found.items()}
    if options.check:
        return BASELINE.check(recorded)
    if options.write:
        BASELINE.write(recorded)
    columns = ("files", "switches", "functions", "calls")
    print(f"{'one request or call':28}" + "".join(f"{column:>11}" for column in columns))
    for name, counts in found.items():
        print(f"{name:28}" + "".join(f"{counts[column]:>11}" for column in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())

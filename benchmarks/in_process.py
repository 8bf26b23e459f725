"""The cost of one request in process: bytecode instructions, hand-overs and microseconds.

::

    python -m benchmarks.in_process                # the table
    python -m benchmarks.in_process --check        # fails if a count rose by more than 10 %
    python -m benchmarks.in_process --write        # records these counts as the baseline
    python -m benchmarks.in_process --callgrind    # also machine instructions, with valgrind; slow

*Instructions* are Python's bytecode instructions, on all threads, in bridge and in what it calls;
asyncio's own are left out, since they depend on how the operating system schedules the threads.
*Hand-overs* are calls of the functions in :data:`HAND_OVERS`. Both are the lowest of many requests:
they are the same on every machine, so a test can hold them (`tests/test_cost.py`).
"""

from __future__ import annotations

import argparse
import gc
import pkgutil
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.counting import Baseline, Counts, Tracer, hooked, trace_requests
from benchmarks.requests_in_process import CASES, Case

__all__ = ["BASELINE", "HAND_OVERS", "count", "hand_over_functions", "measure"]

BASELINE = Baseline(
    Path(__file__).with_name("in_process.json"), "python -m benchmarks.in_process", 1.10
)
REPEATS = 150
HAND_OVERS = (
    "bridge._threads.pool:WorkerPool._wake_worker",
    "bridge._threads.loop_inbox:LoopInbox._wake_loop",
)
"""The functions whose calls are counted as hand-overs, as ``module:qualified name``: one wakes a
worker thread, the other an event loop. If you rename or move one, change it here."""
_LEFT_OUT = re.compile(
    r"[/\\](asyncio[/\\]\w+|benchmarks[/\\]\w+|selectors|threading|contextlib)\.py$"
)


def hand_over_functions() -> set[CodeType]:
    """The code of :data:`HAND_OVERS`.

    :raises AttributeError: a function does not exist; and `ImportError` if its module does not.
    """
    return {pkgutil.resolve_name(name).__code__ for name in HAND_OVERS}


class CountingTracer(Tracer[Counts]):
    """Counts instructions and hand-overs. Each thread has its own counter, so none needs a lock."""

    def __init__(self) -> None:
        self._threads: dict[int, Counter[str]] = {}
        self._is_counted: dict[CodeType, bool] = {}
        self._hand_overs = hand_over_functions()
        self._taken = self._totals()

    def installed(self) -> AbstractContextManager[None]:
        return hooked(self._enter, sys.gettrace, threading.settrace, sys.settrace)

    def progress(self) -> int:
        return self._total("instructions")

    def take(self) -> Counts:
        before, self._taken = self._taken, self._totals()
        return {name: total - before[name] for name, total in self._taken.items()}

    def _totals(self) -> Counts:
        return {name: self._total(name) for name in ("instructions", "hand_overs")}

    def _total(self, name: str) -> int:
        return sum(each[name] for each in list(self._threads.values()))

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        is_counted = self._is_counted.get(code)
        if is_counted is None:
            is_counted = self._is_counted[code] = _LEFT_OUT.search(code.co_filename) is None
        if not is_counted:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counter = self._threads.setdefault(threading.get_ident(), Counter())
        counter["hand_overs"] += code in self._hand_overs

        def step(_frame: FrameType, event: str, _: object) -> Callable[..., Any]:
            if event == "opcode":
                counter["instructions"] += 1
            return step

        return step


def count(case: Case) -> Counts:
    """Count one kind of request.

    No other thread may start meanwhile. Tracing is restored afterwards, but Python 3.12 runs code
    slowly once it has been traced: measure times first.
    """
    return min(trace_requests(case, CountingTracer(), REPEATS), key=lambda each: [*each.values()])


# -- time and machine instructions -----------------------------------------------------------------


def cost_us(case: Case, *, rounds: int = 5, requests: int = 1000) -> float:
    """CPU microseconds of one request, on all threads: the lowest of the rounds."""
    with case() as send_requests:
        send_requests(100)
        gc.collect()
        lowest_s: float = min(send_requests(requests) for _ in range(rounds))
        return lowest_s / requests * 1e6


def measure() -> dict[str, dict[str, float]]:
    """Costs and counts of every case, by its name."""
    costs = {name: cost_us(case) for name, case in CASES.items()}
    return {name: {"cpu_us": round(costs[name], 1), **count(case)} for name, case in CASES.items()}


def machine_instructions(name: str) -> int | None:
    """Machine instructions of one request, counted by valgrind; None where it is not installed.

    The difference between two runs, so that starting the interpreter is not included.
    """
    if shutil.which("valgrind") is None:
        return None
    few, many = 50, 150
    return (_callgrind(name, many) - _callgrind(name, few)) // (many - few)


def _callgrind(name: str, requests: int) -> int:
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    drive = [sys.executable, "-m", "benchmarks.in_process", "--drive", name, str(requests)]
    done = subprocess.run([*tool, *drive], capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise SystemExit(f"unexpected output of valgrind:\n{done.stderr}")
    return int(found[1])


def _drive(name: str, requests: int) -> None:
    with CASES[name]() as send_requests:
        send_requests(requests)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = Baseline.add_options(parser)
    modes.add_argument("--callgrind", action="store_true", help="also count machine instructions")
    modes.add_argument("--drive", nargs=2, metavar=("CASE", "N"), help="only send N requests")
    options = parser.parse_args()
    if options.drive:
        _drive(options.drive[0], int(options.drive[1]))
        return 0
    with_costs = not (options.write or options.check)
    costs = {name: cost_us(case) for name, case in CASES.items()} if with_costs else {}
    found = {name: count(case) for name, case in CASES.items()}
    if options.check:
        return BASELINE.check(found)
    if options.write:
        BASELINE.write(found)
    header = f"{'one request':28}{'instructions':>14}{'hand-overs':>12}"
    print(f"{header}{'CPU us':>9}" if costs else header)
    for name, counts in found.items():
        line = f"{name:28}{counts['instructions']:14,}{counts['hand_overs']:12}"
        print(f"{line}{costs[name]:9.1f}" if costs else line, flush=True)
        if options.callgrind:
            print(f"{'':28}{machine_instructions(name) or 0:14,} machine instructions")
    return 0


if __name__ == "__main__":
    sys.exit(main())

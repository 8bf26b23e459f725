"""What one request costs in process: instructions of Python's, hand-overs, and microseconds.

::

    python -m benchmarks.in_process                # the table
    python -m benchmarks.in_process --check        # fails where a count rose by more than 10 %
    python -m benchmarks.in_process --write        # these counts are the ones to hold from now on
    python -m benchmarks.in_process --callgrind    # machine instructions too, with valgrind; slow

*Instructions* are bytecode instructions, of all threads, run by bridge and by what it calls; not
those of asyncio's own modules, whose number depends on when the operating system runs which thread.
*Hand-overs* are the times that the pool wakes a worker or the doorbell a loop. Both are counted
request by request, and the least of many is what the request needs: it is the same on every
machine, so a test can hold it (`tests/test_cost.py`).
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.requests_in_process import Case, cases

__all__ = ["Counts", "compare", "count", "measure", "recorded"]

BASELINE = Path(__file__).with_name("in_process.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MAY_RISE = 1.10
REPEATS = 40
WARM_UP = 5
HAND_OVERS = {"WorkerPool._wake_worker", "LoopInbox._wake_loop", "_wake_worker", "_wake_loop"}
_LEFT_OUT = re.compile(
    r"[/\\](asyncio[/\\]\w+|selectors|threading|contextlib|requests_in_process|in_process)\.py$"
)


@dataclass(frozen=True)
class Counts:
    """Of one request: the least of many."""

    instructions: int
    hand_overs: int


class Tracer:
    """Counts in every thread that starts while it is installed, and in the one that installs it.

    Each thread has a counter of its own, so none needs a lock.
    """

    def __init__(self) -> None:
        self._threads: dict[int, Counter[str]] = {}
        self._counted: dict[CodeType, bool] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        before = sys.gettrace()
        threading.settrace(self._enter)
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(before)

    def total(self, name: str) -> int:
        return sum(each[name] for each in list(self._threads.values()))

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        counted = self._counted.get(code)
        if counted is None:
            counted = self._counted[code] = _LEFT_OUT.search(code.co_filename) is None
        if not counted:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counter = self._threads.setdefault(threading.get_ident(), Counter())
        counter["hand_overs"] += code.co_name in HAND_OVERS

        def step(_frame: FrameType, event: str, _: object) -> Callable[..., Any]:
            if event == "opcode":
                counter["instructions"] += 1
            return step

        return step


def count(case: Case) -> Counts:
    """Count one kind of request.

    Other threads must not start meanwhile. Afterwards the tracing is as it was, but Python 3.12
    runs the code that was traced slowly from then on: measure time before.
    """
    tracer = Tracer()
    seen: list[Counts] = []
    with tracer.installed(), case() as requests:
        requests(WARM_UP)
        _wait_until_still(tracer)
        for _ in range(REPEATS):
            before = tracer.total("instructions"), tracer.total("hand_overs")
            requests(1)
            _wait_until_still(tracer)
            after = tracer.total("instructions"), tracer.total("hand_overs")
            seen.append(Counts(after[0] - before[0], after[1] - before[1]))
    return min(seen, key=lambda each: (each.instructions, each.hand_overs))


def _wait_until_still(tracer: Tracer) -> None:
    """Until the worker thread, too, is through: it has its last steps after the response."""
    waiting = threading.Event()
    last, still = -1, 0
    while still < 3:
        waiting.wait(0.001)  # no event tells that a thread has gone to sleep
        now = tracer.total("instructions")
        still = still + 1 if now == last else 0
        last = now


# -- the recorded counts ---------------------------------------------------------------------------


def recorded() -> dict[str, Counts] | None:
    """What was recorded for this Python; None if nothing was."""
    known = json.loads(BASELINE.read_text("utf-8")).get(VERSION)
    return known and {name: Counts(**counts) for name, counts in known.items()}


def compare(name: str, now: Counts, before: Counts) -> str | None:
    """:returns: what has risen by more than a tenth, in words."""
    risen = [
        f"{unit.replace('_', '-')} rose from {old} to {new}"
        for unit, old, new in (
            ("instructions", before.instructions, now.instructions),
            ("hand_overs", before.hand_overs, now.hand_overs),
        )
        if new > old * MAY_RISE
    ]
    return f"{name}: {' and '.join(risen)}" if risen else None


def _write(found: dict[str, Counts]) -> None:
    known = json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    known[VERSION] = {name: vars(counts) for name, counts in found.items()}
    BASELINE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")


def _check(found: dict[str, Counts]) -> int:
    before = recorded()
    if before is None:
        print(f"nothing is recorded for Python {VERSION}: --write does that")
        return 0
    said = [compare(name, now, before[name]) for name, now in found.items() if name in before]
    risen = [words for words in said if words]
    print("\n".join(risen) or "no count has risen by more than a tenth")
    return 1 if risen else 0


# -- time, and the machine's instructions ----------------------------------------------------------


def cost_us(case: Case, *, rounds: int = 5, requests: int = 1000) -> float:
    """CPU microseconds of one request, of all threads: the best of some rounds."""
    with case() as carry_out:
        carry_out(100)
        gc.collect()
        best: float = min(carry_out(requests) for _ in range(rounds))
        return best / requests * 1e6


def measure() -> dict[str, dict[str, float]]:
    """Costs and counts of every case, by its name."""
    costs = {name: cost_us(case) for name, case in cases.items()}
    return {
        name: {"cpu_us": round(costs[name], 1), **vars(count(case))} for name, case in cases.items()
    }


def machine_instructions(name: str) -> int | None:
    """What valgrind counts for one request; None where valgrind is not installed.

    Of two runs, so that what starting costs is not part of it.
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
        raise SystemExit(f"valgrind said\n{done.stderr}")
    return int(found[1])


def _drive(name: str, requests: int) -> None:
    with cases[name]() as carry_out:
        carry_out(requests)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare with the recorded counts")
    what.add_argument("--write", action="store_true", help="record the counts of this Python")
    what.add_argument("--callgrind", action="store_true", help="machine instructions, too")
    what.add_argument("--drive", nargs=2, metavar=("CASE", "N"), help="only carry out N requests")
    options = parser.parse_args()
    if options.drive:
        _drive(options.drive[0], int(options.drive[1]))
        return 0
    plain = not (options.write or options.check)
    costs = {name: cost_us(case) for name, case in cases.items()} if plain else {}
    found = {name: count(case) for name, case in cases.items()}
    if options.write:
        _write(found)
    elif options.check:
        return _check(found)
    head = f"{'one request':28}{'instructions':>14}{'hand-overs':>12}"
    print(f"{head}{'CPU us':>9}" if costs else head)
    for name, counts in found.items():
        line = f"{name:28}{counts.instructions:14,}{counts.hand_overs:12}"
        print(f"{line}{costs[name]:9.1f}" if costs else line, flush=True)
        if options.callgrind:
            print(f"{'':28}{machine_instructions(name) or 0:14,} machine instructions")
    return 0


if __name__ == "__main__":
    sys.exit(main())

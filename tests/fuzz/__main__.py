"""``python -m tests.fuzz``: run the fuzzer on real servers, on this machine only.

::

    python -m tests.fuzz --seeds 3000                          # every server
    python -m tests.fuzz --server waitress --seed 1234         # repeat one seed
    python -m tests.fuzz --server granian --seeds 500 --first 10000 --minutes 5

Each failure is printed with its seed and the bytes of the request, reduced as far as possible. The
exit status is 1 if there is any.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.fuzz.payloads import PAYLOADS
from tests.fuzz.running import FUZZED, Outcome, fuzz, split


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    until = time.monotonic() + options.minutes * 60
    seeds = (
        [options.seed]
        if options.seed is not None
        else range(options.first, options.first + options.seeds)
    )

    names = options.server or list(FUZZED)
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(fuzz, name, seeds, until=until) for name in names]
        if options.seed is None:
            numbers = range(len(PAYLOADS))
            runs += [pool.submit(split, name, numbers, until=until) for name in names]
        failed = [_show(run.result()) for run in as_completed(runs)]
    return int(any(failed))


def _show(outcome: Outcome) -> bool:
    """Print an outcome. Returns whether there were failures."""
    print(
        f"{outcome.server}: {outcome.runs} of {outcome.wanted} {outcome.what}, "
        f"{len(outcome.failures)} failures, {outcome.unconfirmed} not repeatable",
        flush=True,
    )
    for failure in outcome.failures:
        print(f"\n{failure}\n", flush=True)
    return bool(outcome.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description="Fuzz real servers.")
    parser.add_argument(
        "--server", action="append", choices=list(FUZZED), help="only this one; may be repeated"
    )
    parser.add_argument("--seeds", type=int, default=3000, help="how many (default: 3000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--seed", type=int, help="run only this seed")
    parser.add_argument(
        "--minutes", type=float, default=60, help="stop after so many minutes (default: 60)"
    )
    parser.add_argument(
        "--jobs", type=int, default=2, help="how many servers at a time (default: 2)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

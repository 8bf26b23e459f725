"""Serves applications as they are served today and through bridge, and compares the responses.

::

    python -m tests.incumbents                  all applications
    python -m tests.incumbents mlflow dash      only these
    python -m tests.incumbents mlflow --write   write the results and the table of the page

Exit code 1 if a response through bridge differs from that of the application without an adapter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.incumbents.cases import CASES
from tests.incumbents.comparison import compare
from tests.incumbents.environments import environment
from tests.incumbents.page import write_results


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.incumbents")
    parser.add_argument("cases", nargs="*", metavar="APP", help=", ".join(CASES))
    parser.add_argument("--folder", type=Path, help="for the environments; kept for later runs")
    parser.add_argument("--write", action="store_true", help="write the results and the page")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"no application {', '.join(unknown)}; choose from {', '.join(CASES)}")
    with tempfile.TemporaryDirectory(prefix="bridge-incumbents-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        wrong = sum(
            _check(name, folder, Path(temporary), write=chosen.write)
            for name in chosen.cases or CASES
        )
    return 1 if wrong else 0


def _check(name: str, folder: Path, work: Path, *, write: bool) -> int:
    """Compare one application.

    :returns: how many responses through bridge differ.
    """
    case = CASES[name]
    python = environment(case.requirements, folder)
    found = compare(case, python, work)
    for serving, different in found.items():
        equal = len(case.steps) - len(different)
        print(f"{name} {serving}: {equal} of {len(case.steps)} responses are equal", flush=True)
        for lines in different.values():
            print(*(f"    {line}" for line in lines), sep="\n")
    if write:
        total = len(case.steps)
        write_results(case, {serving: total - len(steps) for serving, steps in found.items()})
    return sum(len(steps) for serving, steps in found.items() if case.servings[serving].is_bridge)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

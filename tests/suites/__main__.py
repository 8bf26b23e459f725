"""Runs other projects' test suites, bare and through the bridge, and compares with what is known.

::

    python -m tests.suites                    all projects
    python -m tests.suites flask asgiref      only these
    python -m tests.suites flask --write      also through a2wsgi; write the results and the page

Exit code 1 if a test differs that is not in ``differences.toml``, or does not differ that is in it.
Everything is fetched with pip into a folder that later runs use again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.suites.differences import known_flaky, new_differences, unexpected
from tests.suites.fetching import fetch
from tests.suites.page import write_page
from tests.suites.projects import PROJECTS
from tests.suites.results import result, write_result
from tests.suites.running import Outcomes, Through, run


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.suites")
    parser.add_argument("projects", nargs="*", metavar="PROJECT", help=", ".join(PROJECTS))
    parser.add_argument("--folder", type=Path, default=Path(".venv-suites"), help="for downloads")
    parser.add_argument("--write", action="store_true", help="write the results and the page")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.projects if name not in PROJECTS]
    if unknown:
        parser.error(f"no project {', '.join(unknown)}; choose from {', '.join(PROJECTS)}")
    wrong = 0
    for name in chosen.projects or PROJECTS:
        wrong += _check(name, chosen.folder.resolve(), write=chosen.write)
    if chosen.write:
        write_page()
    return 1 if wrong else 0


def _check(name: str, folder: Path, *, write: bool) -> int:
    """Run one suite.

    :returns: how much is wrong.
    """
    project = PROJECTS[name]
    suite = fetch(project, folder)

    def run_through(adapters: Through, without: Iterable[str] = ()) -> Outcomes:
        started_s = time.monotonic()
        log = folder / f"{name}-{adapters}{'-again' if without else ''}.log"
        outcomes = run(project, suite, adapters, log, without=without)
        passed = sum(each.outcome == "passed" for each in outcomes.values())
        elapsed_s = time.monotonic() - started_s
        counts = f"{passed} of {len(outcomes)} pass in {elapsed_s:.0f} s"
        print(f"{name} through {adapters}: {counts}; log: {log}", flush=True)
        return outcomes

    bare = run_through("nothing")
    bridge = {**run_through("bridge")}
    new = new_differences(name, bare, bridge)
    if new:  # once more: the machine may have been slow
        bridge.update(run_through("bridge", without=set(bare) - new))
    wrong = list(unexpected(name, bare, bridge))
    for line in wrong:
        print(f"{name}: {line}")
    if write:
        flaky = {test for known in known_flaky(name) for test in known.tests}
        counted = {test: outcome for test, outcome in bare.items() if test not in flaky}
        write_result(name, result(project.version, counted, bridge, run_through("a2wsgi")))
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

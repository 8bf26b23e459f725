"""Runs Autobahn|Testsuite's fuzzing client against gunicorn through bridge, and against uvicorn.

::

    python -m tests.autobahn --wstest PROGRAM                    all cases, for two hours
    python -m tests.autobahn --wstest PROGRAM --cases '7.*'      only some, may be repeated
    python -m tests.autobahn --wstest PROGRAM --server bridge    only servers of this name

Input: ``wstest`` of the package `autobahntestsuite`, which needs Python 2.7. Output: the number of
each outcome, and the cases that some server does not pass in the strict sense. Exit code 1 if all
servers have run, and gunicorn through bridge is worse than the best of uvicorn's codecs in a case
that is not in ``ALLOWED``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.websocket_echo import BRIDGE, SETUPS
from tests.harness.ports import HOST
from tests.harness.servers import serve

OUTCOMES = ["OK", "INFORMATIONAL", "NON-STRICT", "UNCLEAN", "UNIMPLEMENTED", "WRONG CODE", "FAILED"]
"""From best to worst."""
TIMEOUT_S = 7200
ALLOWED = {
    "6.4.3": "invalid UTF-8 within a frame: found when the frame is complete",
    "6.4.4": "invalid UTF-8 within a frame: found when the frame is complete",
}
"""Cases that may be NON-STRICT through bridge where one of uvicorn's codecs is OK, and why."""

Outcomes = Mapping[str, str]
"""Case: outcome."""


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn")
    parser.add_argument("--wstest", required=True, help="the program, of Python 2.7")
    parser.add_argument("--cases", action="append", metavar="PATTERN", help="such as 7.*")
    parser.add_argument("--server", default="", metavar="NAME", help="a part of the name")
    chosen = parser.parse_args(arguments)
    setups = [name for name in SETUPS if chosen.server in name]
    if not setups:
        parser.error(f"no server is named {chosen.server!r}; there are: {', '.join(SETUPS)}")
    with tempfile.TemporaryDirectory() as folder:
        outcomes = _run(chosen.wstest, setups, chosen.cases or ["*"], Path(folder))
    _show(outcomes)
    if len(outcomes) < len(SETUPS):
        return 0
    worse = _worse(outcomes)
    print("worse than the best of uvicorn's:", ", ".join(worse) or "no case")
    return 1 if worse else 0


def _show(outcomes: Mapping[str, Outcomes]) -> None:
    for name, cases in outcomes.items():
        print(f"{name}: {dict(Counter(cases.values()))}")
    for case in sorted(next(iter(outcomes.values())), key=_numbers):
        row = {name: found[case] for name, found in outcomes.items()}
        if set(row.values()) != {"OK"}:
            print(f"{case:8}", ", ".join(f"{name}: {outcome}" for name, outcome in row.items()))


def _worse(outcomes: Mapping[str, Outcomes]) -> list[str]:
    """The cases in which gunicorn through bridge is worse than the best of the others."""
    rivals = [cases for name, cases in outcomes.items() if name != BRIDGE]
    worse = []
    for case, outcome in outcomes[BRIDGE].items():
        best = min(_rank(cases[case]) for cases in rivals)
        is_allowed = case in ALLOWED and outcome == "NON-STRICT"
        if _rank(outcome) > best and not is_allowed:
            worse.append(case)
    return sorted(worse, key=_numbers)


def _run(wstest: str, setups: list[str], cases: list[str], folder: Path) -> dict[str, Outcomes]:
    """One server after the other, each with its own client."""
    outcomes: dict[str, Outcomes] = {}
    for name in setups:
        spec, target = SETUPS[name]
        with ExitStack() as stack:
            server = stack.enter_context(serve(spec, target))
            print(f"{name} ...", flush=True)
            outcomes[name] = _outcomes(wstest, server.port, cases, folder / spec.name)
    return outcomes


def _outcomes(wstest: str, port: int, cases: list[str], folder: Path) -> Outcomes:
    folder.mkdir()
    spec = {
        "outdir": str(folder),
        "servers": [{"agent": "server", "url": f"ws://{HOST}:{port}/echo"}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    config = folder / "spec.json"
    config.write_text(json.dumps(spec), encoding="utf-8")
    command = [wstest, "--mode", "fuzzingclient", "--spec", str(config)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL)
    found = json.loads((folder / "index.json").read_text(encoding="utf-8"))["server"]
    return {case: _outcome(row) for case, row in found.items()}


def _outcome(row: Mapping[str, str]) -> str:
    """The worse of how a case went and how the connection was closed."""
    return max(row["behavior"], row["behaviorClose"], key=_rank)


def _rank(outcome: str) -> int:
    return OUTCOMES.index(outcome)


def _numbers(case: str) -> tuple[int, ...]:
    return tuple(map(int, case.split(".")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

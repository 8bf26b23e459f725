"""Runs Autobahn|Testsuite's fuzzing client against gunicorn through bridge, and against uvicorn.

::

    python -m tests.autobahn --wstest PROGRAM                    all cases
    python -m tests.autobahn --wstest PROGRAM --cases '7.*'      only some, may be repeated
    python -m tests.autobahn --wstest PROGRAM --write            also update the documentation

Input: ``wstest`` of the package `autobahntestsuite`, which needs Python 2.7. Output: a table of the
cases that some server does not pass in the strict sense, and the number of each outcome. Exit code
1 if gunicorn through bridge is worse than the better of uvicorn's two codecs in any case.
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
RESULTS = Path("docs/explanation/results/autobahn.json")
LIMITS_S = {"9.*": 7200}
TIMEOUT_S = 7200

Outcomes = Mapping[str, str]
"""Case: outcome."""


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn")
    parser.add_argument("--wstest", required=True, help="the program, of Python 2.7")
    parser.add_argument("--cases", action="append", metavar="PATTERN", help="such as 7.*")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = _run(chosen.wstest, chosen.cases or ["*"], Path(folder))
    for name, cases in outcomes.items():
        print(f"{name}: {dict(Counter(cases.values()))}")
    rivals = [cases for name, cases in outcomes.items() if name != BRIDGE]
    worse = []
    for case in sorted(outcomes[BRIDGE], key=_numbers):
        row = {name: cases[case] for name, cases in outcomes.items()}
        if set(row.values()) != {"OK"}:
            print(case, row)
        if _rank(row[BRIDGE]) > min(_rank(cases[case]) for cases in rivals):
            worse.append(case)
    print("worse than the better of uvicorn's:", ", ".join(worse) or "no case")
    if chosen.write:
        RESULTS.write_text(json.dumps(outcomes, indent=1) + "\n", encoding="utf-8")
    return 1 if worse else 0


def _run(wstest: str, cases: list[str], folder: Path) -> dict[str, Outcomes]:
    """One server after the other, each with its own client."""
    outcomes: dict[str, Outcomes] = {}
    for name, (spec, target) in SETUPS.items():
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

"""All drills at length: ``python -m tests.hosts``, or ``nox -s hosts``.

Prints a table of what clients saw; ``--write`` puts it into the documentation. Exits with 1 if a
drill lost what it must not lose. Needs root, for network namespaces.
"""

from __future__ import annotations

import argparse
import sys

from tests.harness.servers import ROOT
from tests.hosts.cluster import cluster
from tests.hosts.drills import DRILLS, Figures, run

PAGE = ROOT / "docs" / "explanation" / "results" / "hosts.inc"
NAMES = {
    "drain": "a host is stopped with SIGTERM and started again",
    "upgrade": "a rolling upgrade of both hosts",
    "kill": "a host is killed with SIGKILL",
    "cut off": "the network of a host fails for some seconds",
    "restart Redis": "Redis is restarted, without persistence",
}
COLUMNS = [
    "Drill",
    "Requests",
    "Failed GET",
    "Failed POST",
    "Silent",
    "Sockets moved",
    "Sockets lost",
]
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def main() -> int:
    """Run the drills.

    :returns: the exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1000, help="requests around each step")
    parser.add_argument("--rounds", type=int, default=3, help="how often each drill is repeated")
    parser.add_argument("--write", action="store_true", help="update the documentation")
    options = parser.parse_args()
    with cluster() as hosts:
        if not hosts.is_real:
            print("no network namespaces here: run as root, with iproute2", file=sys.stderr)
            return 1
        rounds = range(options.rounds)
        seen = {name: [run(name, hosts, options.answers) for _ in rounds] for name in DRILLS}
    table = HEAD + "".join(_row(name, figures) for name, figures in seen.items())
    print(table)
    if options.write:
        PAGE.write_text(table, "utf-8")
    wrong = [name for name in seen if not all(_is_right(name, each) for each in seen[name])]
    print(f"lost what it must not lose: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


def _row(name: str, rounds: list[Figures]) -> str:
    columns = [
        NAMES[name] + (f", {len(rounds)} times" if len(rounds) > 1 else ""),
        f"{sum(each.requests.total() for each in rounds):,}",
        *(sum(each.failed_of(method) for each in rounds) for method in ("GET", "POST")),
        sum(each.of("silent") for each in rounds),
        *(sum(_sockets(each, how) for each in rounds) for how in ("moved", "lost")),
    ]
    return f"| {' | '.join(map(str, columns))} |\n"


def _sockets(figures: Figures, how: str) -> int:
    return sum(number for name, number in figures.closed.items() if name.endswith(how))


def _is_right(name: str, figures: Figures) -> bool:
    lost = {key for key in figures.closed if key.endswith("lost")}
    may_lose = {"one lost"} if name in ("kill", "cut off") else set()
    may_fail = {"kill": "POST", "cut off": "POST", "restart Redis": "POST"}.get(name)
    failed = figures.failed - (figures.failed_of(may_fail) if may_fail else 0)
    return failed == figures.of("silent") == figures.notice["missing"] == 0 and lost <= may_lose


if __name__ == "__main__":
    sys.exit(main())

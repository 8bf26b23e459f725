"""``python -m benchmarks``: all comparisons, their tables, what is reached, pictures and a JSON."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import growth, report
from benchmarks.machine import facts
from benchmarks.side_by_side import Clock, measure, planned_s
from benchmarks.work import WORK, Work
from tests.harness.postgres import postgres_server

FILE_MB = 100
CONNECTIONS = 32
GROWTH = "growth"


def main(
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Just these; may be repeated. Of: {', '.join(WORK)}, {GROWTH}."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="How long each time, in seconds.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="1 round of 1 second, and less work: rough.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            metavar="FOLDER",
            help="Where results.json, report.inc and the pictures go. Default: nowhere.",
        ),
    ] = None,
) -> None:
    """Measure bridge against its peers on this machine, in turn, and say what is reached."""
    if quick:
        rounds, seconds = 1, 1
    unknown = set(only or ()) - {*WORK, GROWTH}
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}; there are: {', '.join(WORK)}, {GROWTH}",
            param_hint="--only",
        )
    names = list(only or [*(name for name in WORK if WORK[name].in_quick or not quick), GROWTH])
    results = report.Results(facts(), {"rounds": rounds, "seconds": seconds, "quick": quick})
    total_s = sum(_planned_s(WORK[name], rounds, seconds) for name in names if name in WORK)
    with Clock(total_s) as clock:
        for name in names:
            if name == GROWTH:
                results.growth = growth.measure(quick=quick)
            else:
                _run(name, WORK[name], results, rounds, seconds, quick, clock)
            if out is not None:
                report.write(results, out)
    report.print_targets(results)


def _planned_s(work: Work, rounds: int, seconds: int) -> float:
    rounds = min(rounds, work.rounds)
    return planned_s(work.contenders(), rounds=rounds, seconds=_seconds(work, seconds))


def _seconds(work: Work, seconds: int) -> int:
    return seconds if seconds == 1 else max(work.seconds, seconds)


def _run(
    name: str,
    work: Work,
    results: report.Results,
    rounds: int,
    seconds: int,
    quick: bool,
    clock: Clock,
) -> None:
    connections = work.connections or CONNECTIONS
    contenders = work.contenders()
    with _resources(work):
        measure(
            work.title,
            contenders,
            rounds=min(rounds, work.rounds),
            seconds=_seconds(work, seconds),
            connections=connections,
            load=work.load(quick),
            fresh=work.fresh,
            clock=clock,
            warm_up=not quick,
        )
    results.add(name, work, contenders, connections)
    report.print_work(results.work[name])


@contextmanager
def _resources(work: Work) -> Iterator[None]:
    """What the servers need besides themselves, named in their environment."""
    with ExitStack() as stack:
        if work.needs == "database":
            os.environ["BENCH_DATABASE"] = stack.enter_context(postgres_server()).url
        elif work.needs == "file":
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bridge-bench-"))
            file.truncate(FILE_MB * 1_000_000)
            os.environ["BENCH_FILE"] = file.name
        yield


if __name__ == "__main__":
    typer.run(main)

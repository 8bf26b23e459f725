"""``python -m benchmarks``: all comparisons, as tables, pictures and JSON, with their targets."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import growth, in_process, report, waterfall
from benchmarks.machine import facts
from benchmarks.options import number
from benchmarks.side_by_side import Clock, Contender, measure, planned_s
from benchmarks.work import WORK, Work
from bridge.errors import BridgeError
from tests.harness.postgres import PostgresFailed, postgres_server

FILE_MB = 100
CONNECTIONS = 32
BOOT_FACTOR = 1.15
"""Starting and stopping servers takes time in addition to the planned seconds."""
IN_PROCESS = ("waterfall", "growth", "in-process")
_CHOICES = f"Choices: {', '.join([*WORK, *IN_PROCESS])}."


@click.command()
@click.option("--only", multiple=True, help=f"Measure only this. Repeatable. {_CHOICES}")
@number("--rounds", 5, "Rounds for each contender.")
@number("--seconds", 3, "Duration of a round, in seconds.")
@click.option("--quick", is_flag=True, help="One round of 1 s, and less work. Rough results.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write results.json, report.inc and the pictures there. Default: no files.",
)
def main(only: tuple[str, ...], rounds: int, seconds: int, quick: bool, out: Path | None) -> None:
    """Measure bridge and its peers in turn, and report which targets are reached."""
    if quick:
        rounds, seconds = 1, 1
    unknown = set(only) - {*WORK, *IN_PROCESS}
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}. {_CHOICES}", param_hint="--only")
    work = [name for name in WORK if WORK[name].in_quick or not quick]
    names = list(only or [*work, *IN_PROCESS])
    results = report.Results(facts(), {"rounds": rounds, "seconds": seconds, "quick": quick})
    total_s = sum(_planned_s(WORK[name], rounds, seconds) for name in names if name in WORK)
    click.echo(f"about {max(1, round(total_s * BOOT_FACTOR / 60))} minutes", err=True)
    failed: list[str] = []
    with Clock(total_s) as clock:
        for name in names:
            try:
                if name in WORK:
                    _run(name, WORK[name], results, rounds, seconds, quick, clock)
                else:
                    clock.tick(0, name)
                    _add(name, results, quick)
            except (BridgeError, PostgresFailed, subprocess.SubprocessError, OSError) as error:
                failed.append(name)  # half an hour of other results must not be lost
                clock.log(f"{name} was not measured: {error}")
            if out is not None:
                report.write(results, out)
    report.print_targets(results)
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def _add(name: str, results: report.Results, quick: bool) -> None:
    """Measure what has no contenders."""
    if name == "waterfall":
        results.waterfall = [asdict(step) for step in waterfall.measure(300 if quick else 3000)]
    elif name == "growth":
        results.growth = growth.measure(quick=quick)
    else:
        results.in_process = in_process.measure()
        report.print_in_process(results)


def _planned_s(work: Work, rounds: int, seconds: int) -> float:
    rounds = min(rounds, work.rounds)
    return planned_s(work.contenders(), rounds=rounds, seconds=_seconds(work, seconds))


def _contenders(work: Work, quick: bool) -> list[Contender]:
    names = work.quick_names if quick else ()
    return [each for each in work.contenders() if not names or each.name in names]


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
    contenders = _contenders(work, quick)
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
    """Start or create what the servers need, and name it in their environment."""
    with ExitStack() as stack:
        if work.needs == "database":
            os.environ["BENCH_DATABASE"] = stack.enter_context(postgres_server()).url
        elif work.needs == "file":
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bridge-bench-"))
            file.truncate(FILE_MB * 1_000_000)
            os.environ["BENCH_FILE"] = file.name
        yield


if __name__ == "__main__":
    main()

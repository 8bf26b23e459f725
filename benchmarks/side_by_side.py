"""Measures several servers in turn, A B C A B C, so that a slow moment affects all of them.

Input: contenders, each a command line that listens on a port, and a load. Output: one
:data:`Sample` per round in each contender. Servers run on one CPU and the load generator on
another, where there are two. Runs on the calling thread, one load at a time.
"""

from __future__ import annotations

import statistics
import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bridge.cli.bench.load import LoadFailed, has_wrk, run_load
from bridge.cli.bench.processes import PORT, RunningServer, run_server
from bridge.cli.bench.results import LoadResult

WARMUP_S = 1

Sample = dict[str, float]
"""One measurement: its known numbers by name, such as ``rate`` and ``p99_ms``."""


@dataclass
class Contender:
    """One setup that serves the work.

    :ivar command: arguments for the interpreter; ``{port}`` stands for the port.
    :ivar env: for the server. Contenders with the same command and environment share one server.
    :ivar path: the requested path.
    :ivar connections: overrides the number that is common to all contenders.
    :ivar samples: one per round.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    connections: int | None = None
    samples: list[Sample] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        """This number of every round; empty if it is unknown for a round."""
        found = [sample[metric] for sample in self.samples if metric in sample]
        return found if len(found) == len(self.samples) else []

    def median_of(self, metric: str) -> float | None:
        values = self.values(metric)
        return statistics.median(values) if values else None

    @property
    def rates(self) -> list[float]:
        """Requests per second, one number per round."""
        return self.values("rate")

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    @property
    def failed(self) -> int:
        """Error responses, and requests without a response."""
        return round(sum(self.values("failed")))


Load = Callable[[Contender, RunningServer, int, int], Sample]
"""Loads one server: contender, server, seconds, connections."""


def uvicorn(name: str, target: str, **env: str) -> Contender:
    """``target`` on uvicorn with uvloop and httptools."""
    options = "--loop uvloop --http httptools --no-access-log --log-level warning --lifespan off"
    return Contender(name, ["-m", "uvicorn", target, "--port", PORT, *options.split()], env)


def gthread(name: str, target: str, threads: int = 10, **env: str) -> Contender:
    """``target`` on one gunicorn worker with threads."""
    options = f"--worker-class gthread --threads {threads} --keep-alive 60"
    return gunicorn(name, target, *options.split(), **env)


def gunicorn(name: str, target: str, *options: str, **env: str) -> Contender:
    """``target`` on one gunicorn worker."""
    fixed = ["--no-control-socket", "--log-level", "error", "--worker-connections", "4000"]
    where = ["--bind", f"127.0.0.1:{PORT}", "--graceful-timeout", "1"]
    return Contender(name, ["-m", "gunicorn", target, *where, *fixed, *options], env)


def load_with_wrk(
    contender: Contender, server: RunningServer, seconds: int, connections: int
) -> Sample:
    """Send requests as fast as they are answered."""
    before_s = server.cpu_s()
    url = server.url(contender.path)
    result = run_load(url, connections=contender.connections or connections, seconds=seconds)
    return make_sample(result, server, before_s)


def make_sample(result: LoadResult, server: RunningServer, cpu_before_s: float | None) -> Sample:
    """The numbers of one load.

    :param cpu_before_s: CPU seconds that the server had used before the load.
    """
    after_s, peak_mb = server.cpu_s(), server.peak_mb()
    sample = {
        "rate": result.rate,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "mb_per_s": result.bytes / result.seconds / 1e6,
        "failed": float(result.failed),
    }
    if peak_mb is not None:
        sample["peak_mb"] = peak_mb
    if after_s is not None and cpu_before_s is not None and result.requests:
        sample["cpu_us"] = (after_s - cpu_before_s) / result.requests * 1e6
    return sample


class Clock:
    """The progress bar, in seconds of all planned measurements."""

    def __init__(self, total_s: float, *, shown: bool = True) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(
            *columns, transient=True, console=Console(stderr=True), disable=not shown
        )
        self._task: TaskID = self._progress.add_task("", total=total_s)

    def __enter__(self) -> Clock:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def log(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False)

    def tick(self, seconds: float, activity: str) -> None:
        self._progress.update(self._task, advance=seconds, description=activity)


def planned_s(contenders: Sequence[Contender], *, rounds: int, seconds: int) -> float:
    """The approximate duration of :func:`measure`, in seconds."""
    return len(contenders) * (rounds * seconds + 2 * WARMUP_S)


def measure(
    title: str,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: int,
    connections: int,
    load: Load = load_with_wrk,
    fresh: bool = False,
    clock: Clock | None = None,
    warm_up: bool = True,
) -> None:
    """Warm up every contender, then measure them in turn, and store the samples in them.

    :param fresh: start a new server for each round instead of one for all.
    :param warm_up: load each server for a second before the first round, instead of one request.
    :raises SystemExit: wrk is not installed.
    """
    if not has_wrk():
        raise SystemExit("wrk is not installed; on Debian: apt install wrk")
    for contender in contenders:
        contender.samples.clear()
    with ExitStack() as stack:
        if clock is None:
            total = planned_s(contenders, rounds=rounds, seconds=seconds)
            clock = stack.enter_context(Clock(total))
        turns = Turns(title, load, seconds, connections, clock, warm_up)
        if fresh:
            turns.in_fresh_servers(contenders, rounds)
        else:
            turns.in_warm_servers(contenders, rounds)


@dataclass(frozen=True)
class Turns:
    """The running comparison."""

    title: str
    load: Load
    seconds: int
    connections: int
    clock: Clock
    warm_up: bool

    def in_warm_servers(self, contenders: Sequence[Contender], rounds: int) -> None:
        servers: dict[object, RunningServer] = {}
        with ExitStack() as stack:
            for contender in contenders:
                key = _server_of(contender)
                if key not in servers:
                    servers[key] = stack.enter_context(_serve(contender))
                    self._warm_up(contender, servers[key])
                self.clock.tick(2 * WARMUP_S, self.title)
            for _ in range(rounds):
                for contender in contenders:
                    self._measure(contender, servers[_server_of(contender)], self.seconds)
                    self.clock.tick(self.seconds, f"{self.title}: {contender.name}")

    def _warm_up(self, contender: Contender, server: RunningServer) -> None:
        if self.warm_up:
            self.load(contender, server, WARMUP_S, self.connections)
        else:
            with urllib.request.urlopen(server.url(contender.path)) as response:
                response.read()

    def in_fresh_servers(self, contenders: Sequence[Contender], rounds: int) -> None:
        for _ in range(rounds):
            for contender in contenders:
                with _serve(
                    contender, exit_timeout_s=0.5
                ) as server:  # its clients never disconnect
                    self._measure(contender, server, self.seconds)
                self.clock.tick(self.seconds, f"{self.title}: {contender.name}")
        self.clock.tick(2 * WARMUP_S * len(contenders), self.title)

    def _measure(self, contender: Contender, server: RunningServer, seconds: int) -> None:
        try:
            sample = self.load(contender, server, seconds, self.connections)
        except (LoadFailed, subprocess.SubprocessError, OSError) as error:
            self.clock.log(f"{self.title}: {contender.name} failed: {error}")
            sample = {"rate": 0.0, "failed": 1.0}
        contender.samples.append(sample)


def _server_of(contender: Contender) -> tuple[object, ...]:
    return (*contender.command, *sorted(contender.env.items()))


def _serve(
    contender: Contender, exit_timeout_s: float = 5.0
) -> AbstractContextManager[RunningServer]:
    return run_server(
        contender.name, contender.command, env=contender.env, exit_timeout_s=exit_timeout_s
    )


def round_ratios(base: Contender, other: Contender, metric: str = "rate") -> list[float]:
    """``base`` divided by ``other``, round by round; empty if one was not measured."""
    both = zip(base.values(metric), other.values(metric), strict=False)
    return [ours / theirs for ours, theirs in both if theirs]


def show(title: str, contenders: Sequence[Contender], *, against: str) -> None:
    """Print medians, spreads and the ratio of each to the contender named ``against``."""
    base = next(c for c in contenders if c.name == against)
    table = Table(title=title, title_justify="left")
    for column in ("", "requests/s", "min - max", f"{against} is", "failed"):
        table.add_column(column, justify="left" if not column else "right")
    for contender in contenders:
        table.add_row(
            contender.name,
            f"{contender.median:,.0f}",
            f"{min(contender.rates):,.0f} - {max(contender.rates):,.0f}",
            ""
            if contender is base
            else f"{statistics.median(round_ratios(base, contender)):.2f} x",
            str(contender.failed or ""),
        )
    Console().print(table)

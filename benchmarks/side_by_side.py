"""Several servers measured in turn, A B C A B C, so that a slow moment hits them all.

What enters: contenders, each a command line that listens on a port, and a way to load them. What
leaves: in each contender, one :class:`Sample` a round. Servers run on one CPU and what loads them
on another, where there are two. Everything happens on the caller's thread, one load at a time.
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
"""One measurement: its numbers by name, such as ``rate`` and ``p99_ms``. What is unknown is left
out."""


@dataclass
class Contender:
    """One way to serve the same thing.

    :ivar command: without the interpreter; ``{port}`` stands for the port.
    :ivar env: for the server. Contenders with one command and one environment share one server.
    :ivar path: what is asked for.
    :ivar connections: how many, where it is not the same for all contenders.
    :ivar samples: one a round.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    connections: int | None = None
    samples: list[Sample] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        """That number of every round; nothing if a round does not have it."""
        found = [sample[metric] for sample in self.samples if metric in sample]
        return found if len(found) == len(self.samples) else []

    def median_of(self, metric: str) -> float | None:
        values = self.values(metric)
        return statistics.median(values) if values else None

    @property
    def rates(self) -> list[float]:
        """Requests per second, one number a round."""
        return self.values("rate")

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    @property
    def failed(self) -> int:
        """How many responses were errors, or did not come."""
        return round(sum(self.values("failed")))


Load = Callable[[Contender, RunningServer, int, int], Sample]
"""Loads one server for so many seconds through so many connections."""


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
    """Requests as fast as they are answered."""
    before = server.cpu_s()
    url = server.url(contender.path)
    answer = run_load(url, connections=contender.connections or connections, seconds=seconds)
    return sample_of(answer, server, before)


def sample_of(answer: LoadResult, server: RunningServer, cpu_before_s: float | None) -> Sample:
    """The numbers of one load.

    :param cpu_before_s: what the server had used when it began.
    """
    after, peak = server.cpu_s(), server.peak_mb()
    sample = {
        "rate": answer.rate,
        "p50_ms": answer.p50_ms,
        "p99_ms": answer.p99_ms,
        "mb_per_s": answer.bytes / answer.seconds / 1e6,
        "failed": float(answer.failed),
    }
    if peak is not None:
        sample["peak_mb"] = peak
    if after is not None and cpu_before_s is not None and answer.requests:
        sample["cpu_us"] = (after - cpu_before_s) / answer.requests * 1e6
    return sample


class Clock:
    """The progress bar: it counts the seconds that all that is asked for will take."""

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

    def say(self, words: str) -> None:
        """A line above the bar."""
        self._progress.console.print(words, markup=False)

    def tick(self, seconds: float, doing: str) -> None:
        self._progress.update(self._task, advance=seconds, description=doing)


def planned_s(contenders: Sequence[Contender], *, rounds: int, seconds: int) -> float:
    """How long :func:`measure` will take, in seconds, more or less."""
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
    """Warm every contender up, then measure them in turn; the results are left in them.

    :param fresh: start the server anew for each round, instead of once.
    :param warm_up: load each server for a second before the first round; else it gets one request.
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
    """One comparison that is going on."""

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
                    self._take(contender, servers[_server_of(contender)], self.seconds)
                    self.clock.tick(self.seconds, f"{self.title}: {contender.name}")

    def _warm_up(self, contender: Contender, server: RunningServer) -> None:
        if self.warm_up:
            self.load(contender, server, WARMUP_S, self.connections)
        else:
            with urllib.request.urlopen(server.url(contender.path)) as answer:
                answer.read()

    def in_fresh_servers(self, contenders: Sequence[Contender], rounds: int) -> None:
        for _ in range(rounds):
            for contender in contenders:
                with _serve(contender, exit_timeout_s=0.5) as server:  # its clients never end
                    self._take(contender, server, self.seconds)
                self.clock.tick(self.seconds, f"{self.title}: {contender.name}")
        self.clock.tick(2 * WARMUP_S * len(contenders), self.title)

    def _take(self, contender: Contender, server: RunningServer, seconds: int) -> None:
        try:
            sample = self.load(contender, server, seconds, self.connections)
        except (LoadFailed, subprocess.SubprocessError, OSError) as error:
            self.clock.say(f"{self.title}: {contender.name} failed: {error}")
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


def pairs(base: Contender, other: Contender, metric: str = "rate") -> list[float]:
    """``base`` divided by ``other``, round by round; nothing if one failed to be measured."""
    both = zip(base.values(metric), other.values(metric), strict=False)
    return [ours / theirs for ours, theirs in both if theirs]


def show(title: str, contenders: Sequence[Contender], *, against: str) -> None:
    """Print medians, spreads and each ratio to the contender named ``against``."""
    base = next(c for c in contenders if c.name == against)
    table = Table(title=title, title_justify="left")
    for column in ("", "requests/s", "min - max", f"{against} is", "failed"):
        table.add_column(column, justify="left" if not column else "right")
    for contender in contenders:
        table.add_row(
            contender.name,
            f"{contender.median:,.0f}",
            f"{min(contender.rates):,.0f} - {max(contender.rates):,.0f}",
            "" if contender is base else f"{statistics.median(pairs(base, contender)):.2f} x",
            str(contender.failed or ""),
        )
    Console().print(table)

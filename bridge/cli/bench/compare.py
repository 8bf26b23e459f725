"""Every way to serve the app, loaded in turn, A B C A B C, so that a slow moment hits them all.

What enters: ways, each of which gets a server process. What leaves: a :class:`Measured` for each,
in the same order; a way that does not start, has no such page, or fails under load, says why: how
fast it fails is nobody's question. The caller's thread, one load at a time; a bar on stderr shows
how far it is.
"""

from __future__ import annotations

import http.client
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bridge.cli.bench.load import Answer, LoadFailed, ask
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import HOST, DidNotStart, Running, running
from bridge.cli.bench.ways import Way, environment_of
from bridge.errors import BridgeError
from bridge.types import Interface

__all__ = ["Measured", "NothingToCompare", "compare"]

ANSWER_TIMEOUT_S = 30
WARM_UP_S = 1
MOST_FAILED = 0.01
"""How many of the requests may fail where the others still count."""


class NothingToCompare(BridgeError):
    """No way to serve the app came to an answer. Says why each did not."""


@dataclass
class Measured:
    """How one way did.

    :ivar answers: one a round.
    :ivar cpu_us: CPU microseconds a request, of all its processes; None where it is not known.
    :ivar cpu_before_s: what its processes had used when the first round began.
    :ivar problem: why it could not be measured.
    """

    way: Way
    answers: list[Answer] = field(default_factory=list)
    cpu_us: float | None = None
    cpu_before_s: float | None = None
    peak_mb: float | None = None
    problem: str = ""

    @property
    def rates(self) -> list[float]:
        return [answer.rate for answer in self.answers]

    @property
    def rate(self) -> float:
        """Requests per second, the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def p99_ms(self) -> float:
        return statistics.median(answer.p99_ms for answer in self.answers)

    @property
    def failed(self) -> int:
        return sum(answer.failed for answer in self.answers)

    def drop_failing(self) -> None:
        """Leave out what failed too often: an error is sent sooner than a page."""
        asked = max(self.failed, sum(answer.requests for answer in self.answers))
        if self.failed > asked * MOST_FAILED:
            self.problem = f"{self.failed:,} of {asked:,} requests failed"
            self.answers.clear()


def compare(ways: Sequence[Way], interface: Interface, options: BenchOptions) -> list[Measured]:
    """Measure them all.

    :raises NothingToCompare: not one of them could be measured.
    """
    every = [Measured(way) for way in ways]
    with ExitStack() as stack, _bar() as bar:
        steps = bar.add_task("starting", total=len(ways) * (2 + options.rounds * options.seconds))
        started = []
        for each in every:
            bar.update(steps, description=each.way.name, advance=2)
            server = _start(each, interface, options, stack)
            started += [] if server is None else [(each, server)]
        for each, server in started * options.rounds:
            bar.update(steps, description=each.way.name)
            _measure(each, server, options)
            bar.update(steps, advance=options.seconds)
        for each, server in started:
            _account(each, server)
            each.drop_failing()
    if not any(each.answers for each in every):
        raise NothingToCompare("\n".join(f"{e.way.name}: {e.problem}" for e in every))
    return every


def _bar() -> Progress:
    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, transient=True, console=Console(stderr=True))


def _start(
    each: Measured, interface: Interface, options: BenchOptions, stack: ExitStack
) -> Running | None:
    """Start it and look at its page; None if one of the two failed, and ``problem`` says why."""
    way = each.way
    env = {**environment_of(way, interface, options), "PYTHONWARNINGS": "ignore"}
    try:
        server = stack.enter_context(running(way.name, way.command, env=env, cwd=Path.cwd()))
    except DidNotStart as error:
        each.problem = f"did not start: {_last_line(str(error))}"
        return None
    try:
        status = _status(server, options.path)
    except (OSError, http.client.HTTPException) as error:
        each.problem = f"did not answer: {error!r}. {_last_line(server.log())}".rstrip(". ")
        return None
    if not 200 <= status < 400:
        each.problem = f"{options.path} answers {status}; choose another page with --path"
        return None
    return _warmed_up(each, server, options)


def _warmed_up(each: Measured, server: Running, options: BenchOptions) -> Running | None:
    try:
        ask(server.url(options.path), connections=options.connections, seconds=WARM_UP_S)
    except LoadFailed as error:
        each.problem = f"does not bear the load: {_last_line(str(error))}"
        return None
    each.cpu_before_s = server.cpu_s()
    return server


def _status(server: Running, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status
    finally:
        connection.close()


def _measure(each: Measured, server: Running, options: BenchOptions) -> None:
    if each.problem:  # in an earlier round
        return
    url = server.url(options.path)
    try:
        each.answers.append(ask(url, connections=options.connections, seconds=options.seconds))
    except LoadFailed as error:
        each.problem = f"failed under load: {_last_line(str(error))}"
        each.answers.clear()  # without one of its rounds it cannot be compared


def _account(each: Measured, server: Running) -> None:
    after_s = server.cpu_s()
    requests = sum(answer.requests for answer in each.answers)
    if each.cpu_before_s is not None and after_s is not None and requests:
        each.cpu_us = (after_s - each.cpu_before_s) / requests * 1e6
    each.peak_mb = server.peak_mb()


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()

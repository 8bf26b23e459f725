"""Measures setups in turn, A B C A B C, so that a slow moment of the machine affects all of them.

Input: setups, for each of which a server process is started. Output: one
:class:`~bridge.cli.bench.results.Measurement` each, in the same order; its ``problem`` is why it
could not be measured. Runs on the calling thread, one load at a time; shows progress on stderr.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bridge._http.client_text import one_line
from bridge.cli.bench.load import LoadFailed, run_load
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import HOST, RunningServer, StartFailed, run_server
from bridge.cli.bench.results import Measurement
from bridge.cli.bench.setups import Setup
from bridge.errors import BridgeError

__all__ = ["NothingMeasured", "measure"]

RESPONSE_TIMEOUT_S = 30
WARM_UP_S = 1


class NothingMeasured(BridgeError):
    """No setup could be measured. The message has the problem of each."""


def measure(setups: Sequence[Setup], options: BenchOptions) -> list[Measurement]:
    """Start a server for each setup, then load them in turn.

    :raises NothingMeasured: none could be measured.
    """
    measurements = [Measurement(setup.name, setup.kind) for setup in setups]
    total_s = len(setups) * (2 + options.rounds * options.seconds)
    with ExitStack() as stack, _progress_bar() as bar:
        task = bar.add_task("starting", total=total_s)
        started = []
        for setup, measurement in zip(setups, measurements, strict=True):
            bar.update(task, description=setup.name, advance=2)
            server = _start(setup, measurement, options, stack)
            if server is not None:
                started.append((server, measurement))
        for server, measurement in started * options.rounds:
            bar.update(task, description=measurement.name)
            _load_once(server, measurement, options)
            bar.update(task, advance=options.seconds)
        for server, measurement in started:
            _read_usage(server, measurement)
            measurement.discard_if_failing()
    if not any(each.rounds for each in measurements):
        raise NothingMeasured("\n".join(f"{each.name}: {each.problem}" for each in measurements))
    return measurements


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, transient=True, console=Console(stderr=True))


def _start(
    setup: Setup, measurement: Measurement, options: BenchOptions, stack: ExitStack
) -> RunningServer | None:
    """Start the server and request its page; on failure set ``problem`` and return None."""
    try:
        server = stack.enter_context(
            run_server(setup.name, setup.command, env=setup.env, cwd=Path.cwd())
        )
    except StartFailed as error:
        measurement.problem = f"did not start: {_last_line(str(error))}"
        return None
    try:
        status = _fetch_status(server, options.path)
    except (OSError, http.client.HTTPException) as error:
        problem = f"did not respond: {error!r}. {_last_line(server.log())}"
        measurement.problem = problem.rstrip(". ")
        return None
    if not 200 <= status < 400:
        measurement.problem = f"{options.path} returns {status}; choose another page with --path"
        return None
    try:
        run_load(server.url(options.path), connections=options.connections, seconds=WARM_UP_S)
    except LoadFailed as error:
        measurement.problem = f"failed while warming up: {_last_line(str(error))}"
        return None
    measurement.cpu_before_s = server.cpu_s()
    return server


def _fetch_status(server: RunningServer, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=RESPONSE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def _load_once(server: RunningServer, measurement: Measurement, options: BenchOptions) -> None:
    if measurement.problem:  # in an earlier round
        return
    url = server.url(options.path)
    try:
        result = run_load(url, connections=options.connections, seconds=options.seconds)
    except LoadFailed as error:
        measurement.problem = f"failed under load: {_last_line(str(error))}"
        measurement.rounds.clear()  # rounds are compared in pairs, so all of them are needed
    else:
        measurement.rounds.append(result)


def _read_usage(server: RunningServer, measurement: Measurement) -> None:
    before_s, after_s = measurement.cpu_before_s, server.cpu_s()
    if before_s is not None and after_s is not None and measurement.requests:
        measurement.cpu_us = (after_s - before_s) / measurement.requests * 1e6
    measurement.peak_mb = server.peak_mb()


def _last_line(text: str) -> str:
    """As a part of a message: a server's log may have control characters."""
    return one_line(text.strip().rpartition("\n")[2].strip())

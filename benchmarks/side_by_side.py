"""Several servers measured in turn with wrk, A B C A B C, so that a slow moment hits them all.

What enters: contenders, each a command line that listens on a port. What leaves: for each, the
requests per second of every round. Servers run on one CPU and wrk on another, where there are two.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

BOOT_S = 30.0
EXIT_S = 5.0
PORT = "{port}"
"""Stands for the port in a contender's command."""


@dataclass
class Contender:
    """One way to serve the same thing.

    :ivar command: without the interpreter; ``{port}`` stands for the port.
    :ivar rates: requests per second, one number a round.
    :ivar failed: how many responses were errors, or did not come.
    """

    name: str
    command: Sequence[str]
    rates: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


def uvicorn(name: str, target: str) -> Contender:
    """``target`` on uvicorn with uvloop and httptools."""
    options = "--loop uvloop --http httptools --no-access-log --log-level warning --lifespan off"
    return Contender(name, ["-m", "uvicorn", target, "--port", PORT, *options.split()])


def gthread(name: str, target: str, threads: int = 10) -> Contender:
    """``target`` on one gunicorn worker with threads."""
    options = f"--worker-class gthread --threads {threads} --keep-alive 60 --log-level error"
    return Contender(
        name, ["-m", "gunicorn", target, "--bind", f"127.0.0.1:{PORT}", *options.split()]
    )


def measure(
    title: str, contenders: Sequence[Contender], *, rounds: int, seconds: int, connections: int
) -> None:
    """Warm every contender up, then measure them in turn; the results are left in them."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; on Debian: apt install wrk")
    with ExitStack() as stack, Progress(transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task(title, total=len(contenders) * (rounds + 1))
        ports = []
        for contender in contenders:
            ports.append(stack.enter_context(_serving(contender)))
            _load(contender, ports[-1], 1, connections)
            progress.advance(bar)
        for contender in contenders:
            contender.rates.clear()
            contender.failed = 0
        for _ in range(rounds):
            for contender, port in zip(contenders, ports, strict=True):
                _load(contender, port, seconds, connections)
                progress.advance(bar)


def show(title: str, contenders: Sequence[Contender], *, against: str) -> None:
    """Print medians, spreads and each ratio to the contender named ``against``."""
    base = next(c for c in contenders if c.name == against)
    table = Table(title=title, title_justify="left")
    for column in ("", "requests/s", "min - max", f"{against} is", "failed"):
        table.add_column(column, justify="left" if not column else "right")
    for contender in contenders:
        pairs = [ours / theirs for ours, theirs in zip(base.rates, contender.rates, strict=True)]
        table.add_row(
            contender.name,
            f"{contender.median:,.0f}",
            f"{min(contender.rates):,.0f} - {max(contender.rates):,.0f}",
            "" if contender is base else f"{statistics.median(pairs):.2f} x",
            str(contender.failed or ""),
        )
    Console().print(table)


def _pin(cpu: int) -> list[str]:
    usable = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(usable[cpu % len(usable)])] if shutil.which("taskset") else []


@contextmanager
def _serving(contender: Contender) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [part.replace(PORT, str(port)) for part in contender.command]
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would stop the server
        process = subprocess.Popen(
            [*_pin(0), sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            _wait_for(process, port, contender, log)
            yield port
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(EXIT_S)
    except subprocess.TimeoutExpired:  # asgiref's adapter under load leaves uvicorn waiting
        process.kill()
        process.wait()


def _wait_for(
    process: subprocess.Popen[bytes], port: int, contender: Contender, log: TextIO
) -> None:
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"{contender.name} did not start:\n{log.read()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{contender.name} does not listen after {BOOT_S:.0f} s")


def _load(contender: Contender, port: int, seconds: int, connections: int) -> None:
    output = subprocess.run(
        [*_pin(1), "wrk", "-t1", f"-c{connections}", f"-d{seconds}", f"http://127.0.0.1:{port}/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + BOOT_S,
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if rate is None:
        raise SystemExit(f"{contender.name}: wrk said\n{output}")
    contender.rates.append(float(rate[1]))
    failures = re.findall(r"Non-2xx or 3xx responses: (\d+)", output)
    failures += re.findall(r"(?:connect|read|write|timeout) (\d+)", output)
    contender.failed += sum(map(int, failures))

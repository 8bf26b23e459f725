"""Ask a server for pages as fast as it gives them, with wrk or with our own generator.

What enters: a URL, how many connections, how long. What leaves: an :class:`Answer`. The load runs
in a process of its own, on the second CPU where there is one; the caller waits for it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bridge.cli.bench.processes import pinned
from bridge.errors import BridgeError

__all__ = ["Answer", "LoadFailed", "ask", "ask_in_turn", "has_wrk"]

LATE_S = 60.0
_FACTORS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class LoadFailed(BridgeError):
    """The load generator failed. Says what it wrote."""


@dataclass(frozen=True)
class Answer:
    """How a server answered.

    :ivar rate: requests per second.
    :ivar failed: responses that were errors, or did not come.
    :ivar bytes: of the responses, heads included where wrk counted them.
    :ivar p99_of: the 99th percentile for each path, where several were asked for.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    bytes: float
    p99_of: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def ask(url: str, *, connections: int, seconds: float) -> Answer:
    """Load ``url``: with wrk where it is installed, and with our own generator where not.

    :param seconds: whole seconds, where wrk is used.
    :raises LoadFailed: nothing could be measured.
    """
    if has_wrk():
        return _ask_with_wrk(url, connections, max(1, round(seconds)))
    base, slash, path = url.partition("//")[2].partition("/")
    return ask_in_turn(
        f"http://{base}", [f"{slash}{path}" or "/"], connections=connections, seconds=seconds
    )


def ask_in_turn(url: str, paths: list[str], *, connections: int, seconds: float) -> Answer:
    """Load several paths, each connection in turn, with our own generator.

    :raises LoadFailed: nothing could be measured.
    """
    options = ["--connections", str(connections), "--seconds", str(seconds)]
    module = ["-m", "bridge.cli.bench.generator"]
    out = _run([sys.executable, *module, url, *paths, *options], seconds)
    told = json.loads(out)
    if not told["requests"]:
        raise LoadFailed(f"no request to {url} was answered; {told['failed']} failed")
    each = told["paths"]
    first = each[paths[0]]
    p99_of = {path: values["p99_ms"] for path, values in each.items()}
    return Answer(
        requests=told["requests"],
        seconds=told["seconds"],
        p50_ms=first["p50_ms"],
        p99_ms=first["p99_ms"],
        failed=told["failed"],
        bytes=told["bytes"],
        p99_of=p99_of,
    )


def _ask_with_wrk(url: str, connections: int, seconds: int) -> Answer:
    options = ["-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "10"]
    return parse_wrk(_run(["wrk", *options, url], seconds))


def _run(command: list[str], seconds: float) -> str:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [*pinned(1), *command],
            capture_output=True,
            text=True,
            timeout=seconds + LATE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{name} did not end {LATE_S:.0f} s after its time") from None
    if done.returncode:
        raise LoadFailed(f"{name} failed with {done.returncode}:\n{done.stderr or done.stdout}")
    return done.stdout


def parse_wrk(out: str) -> Answer:
    """What wrk printed.

    :raises LoadFailed: it is not what wrk prints.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b, ([\d.]+)([KMG]?)B read", out)
    p50, p99 = (re.search(rf"^ +{share}%\s+([\d.]+)(us|ms|s|m)", out, re.M) for share in (50, 99))
    if total is None or p50 is None or p99 is None:
        raise LoadFailed(f"wrk said\n{out}")
    failures = re.findall(r"Non-2xx or 3xx responses: (\d+)", out)
    failures += re.findall(r"(?:connect|read|write|timeout) (\d+)", out)
    return Answer(
        requests=int(total[1]),
        seconds=float(total[2]) * _FACTORS_MS[total[3]] / 1000,
        p50_ms=float(p50[1]) * _FACTORS_MS[p50[2]],
        p99_ms=float(p99[1]) * _FACTORS_MS[p99[2]],
        failed=sum(map(int, failures)),
        bytes=float(total[4]) * 1024 ** " KMG".index(total[5] or " "),
    )

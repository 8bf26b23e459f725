"""One load on a server: as many requests as it answers, made by wrk or by our own generator.

Input: a URL, a number of connections, a duration. Output: a
:class:`~bridge.cli.bench.results.LoadResult`. The load runs in its own process, on the second CPU
where there is one; the calling thread waits for it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bridge.cli.bench.processes import taskset
from bridge.cli.bench.results import LoadResult
from bridge.errors import BridgeError

__all__ = ["LoadFailed", "has_wrk", "parse_wrk", "run_load", "run_mixed_load"]

EXIT_TIMEOUT_S = 60.0
_FACTORS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class LoadFailed(BridgeError):
    """The load generator failed, or no request was answered. The message has its output."""


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def run_load(url: str, *, connections: int, seconds: float) -> LoadResult:
    """Load ``url`` with wrk, or with our own generator where wrk is not installed.

    :param seconds: rounded to whole seconds for wrk.
    :raises LoadFailed: nothing was measured.
    """
    if has_wrk():
        return _run_wrk(url, connections, max(1, round(seconds)))
    base, slash, path = url.partition("//")[2].partition("/")
    return run_mixed_load(
        f"http://{base}", [f"{slash}{path}" or "/"], connections=connections, seconds=seconds
    )


def run_mixed_load(url: str, paths: list[str], *, connections: int, seconds: float) -> LoadResult:
    """Load several paths with our own generator; each connection requests them in turn.

    :raises LoadFailed: nothing was measured.
    """
    options = ["--connections", str(connections), "--seconds", str(seconds)]
    module = ["-m", "bridge.cli.bench.generator"]
    data = json.loads(_run([sys.executable, *module, url, *paths, *options], seconds))
    if not data["requests"]:
        raise LoadFailed(f"no request to {url} was answered; {data['failed']} failed")
    by_path = data["paths"]
    first = by_path[paths[0]]
    return LoadResult(
        requests=data["requests"],
        seconds=data["seconds"],
        p50_ms=first["p50_ms"],
        p99_ms=first["p99_ms"],
        failed=data["failed"],
        bytes=data["bytes"],
        p99_ms_by_path={path: values["p99_ms"] for path, values in by_path.items()},
    )


def _run_wrk(url: str, connections: int, seconds: int) -> LoadResult:
    options = ["-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "10"]
    return parse_wrk(_run(["wrk", *options, url], seconds))


def _run(command: list[str], seconds: float) -> str:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [*taskset(1), *command],
            capture_output=True,
            text=True,
            timeout=seconds + EXIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(
            f"{name} was still running {EXIT_TIMEOUT_S:.0f} s after the end of the load"
        ) from None
    if done.returncode:
        raise LoadFailed(
            f"{name} exited with code {done.returncode}:\n{done.stderr or done.stdout}"
        )
    return done.stdout


def parse_wrk(output: str) -> LoadResult:
    """Parse the output of wrk.

    :raises LoadFailed: it is not in wrk's format.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b, ([\d.]+)([KMG]?)B read", output)
    p50, p99 = (
        re.search(rf"^ +{share}%\s+([\d.]+)(us|ms|s|m)", output, re.M) for share in (50, 99)
    )
    if total is None or p50 is None or p99 is None:
        raise LoadFailed(f"unexpected output of wrk:\n{output}")
    failures = re.findall(r"Non-2xx or 3xx responses: (\d+)", output)
    failures += re.findall(r"(?:connect|read|write|timeout) (\d+)", output)
    return LoadResult(
        requests=int(total[1]),
        seconds=float(total[2]) * _FACTORS_MS[total[3]] / 1000,
        p50_ms=float(p50[1]) * _FACTORS_MS[p50[2]],
        p99_ms=float(p99[1]) * _FACTORS_MS[p99[2]],
        failed=sum(map(int, failures)),
        bytes=float(total[4]) * 1024 ** " KMG".index(total[5] or " "),
    )

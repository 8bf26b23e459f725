"""Measures the service time of a running server: one request at a time, so that none waits.

Input: a URL, and the process of the server if it runs on this machine. Output: a
:class:`~bridge.cli.capacity.options.Service`. Runs on the calling thread.
"""

from __future__ import annotations

import http.client
import statistics
import time
from urllib.parse import SplitResult, urlsplit

from bridge._http.client_text import one_line
from bridge.cli.bench.processes import cpu_s_of_tree
from bridge.cli.capacity.options import Service
from bridge.cli.options import UsageError
from bridge.errors import BridgeError

__all__ = ["MeasureFailed", "measure"]

TIMEOUT_S = 30.0
WARM_UP = 5
"""Requests before the measurement, which load code and open database connections."""


class MeasureFailed(BridgeError):
    """The server did not answer, or not with a page."""


def measure(url: str, requests: int, pid: int | None, waiting_share: float | None) -> Service:
    """Send GET requests one after another, on one connection.

    The time of a request is that until the end of its response, so it includes the server and the
    network, and is a bit more than the time on a thread.

    :param pid: the server's main process on this machine: the CPU time of it and its descendants
        tells the waiting share. None if ``waiting_share`` is given.
    :raises UsageError: the URL is none of HTTP, or there is no such process.
    :raises MeasureFailed: a request failed, or was answered with an error.
    """
    parts = _split(url)
    if pid is not None and cpu_s_of_tree(pid) is None:
        raise UsageError(f"--pid {pid}: no such process, or this system has no /proc")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        for _ in range(WARM_UP):
            _time_of(connection, url, path)
        before_s = None if pid is None else cpu_s_of_tree(pid)
        times = [_time_of(connection, url, path) for _ in range(requests)]
        after_s = None if pid is None else cpu_s_of_tree(pid)
    finally:
        connection.close()
    mean_s = statistics.fmean(times)
    if waiting_share is None:
        if before_s is None or after_s is None:
            raise MeasureFailed(f"--pid {pid}: the process has ended")
        cpu_s = (after_s - before_s) / requests
        waiting_share = max(0.0, 1 - cpu_s / mean_s)
    return Service(
        mean_s=mean_s, waiting_share=waiting_share, variation=statistics.pstdev(times) / mean_s
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or a wrong IPv6 address
        is_valid = False
    if not is_valid or any(ord(character) < 33 or ord(character) > 126 for character in url):
        raise UsageError(
            f"--measure takes a URL of the app, such as http://127.0.0.1:8000/shop, not {url!r}"
        )
    return parts


def _time_of(connection: http.client.HTTPConnection, url: str, path: str) -> float:
    started = time.perf_counter()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        problem = one_line(f"{type(error).__name__}: {error}".strip())  # quotes the server
        raise MeasureFailed(f"--measure {url}: {problem}") from None
    if response.status >= 400:
        raise MeasureFailed(f"--measure {url}: the answer is {response.status}")
    return time.perf_counter() - started

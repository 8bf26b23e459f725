"""What a request has caused: the answer, and what the app and bridge have reported.

The apps write their reports to a file (:mod:`tests.apps.fuzzed`). :class:`Observer` sends requests
to a server and waits until every call that has begun has ended, so that a thread that is still
taken is a failure of the request that took it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.exchange import Answer, exchange
from tests.fuzz.requests import FuzzedRequest
from tests.harness.servers import Server

__all__ = ["Observed", "Observer", "Seen"]

IDLE_PER_QUIET = 10
"""How much longer than ``quiet_s`` the calls of a request may take to end."""
LOG_DEADLINE_S = 20.0
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Seen:
    """A request as an app sees it, in a form that both interfaces share.

    :ivar path: decoded as UTF-8, with the mount point.
    :ivar headers: name in lower case and value, in order.
    :ivar cut: the app noticed that the body is incomplete.
    :ivar is_terminated: the server decodes chunked bodies.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: str
    cut: bool
    is_http_10: bool = False
    is_terminated: bool = True

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for each, value in self.headers if each == name]


@dataclass(frozen=True)
class Observed:
    """All that a request and the one after it have caused.

    :ivar seen: by an app, in order: at most one for each request.
    :ivar kinds: of the calls: ``http`` or ``websocket``.
    :ivar busy: calls that have not ended.
    :ivar logged: the messages of bridge's loggers.
    :ivar log: what the server has logged.
    """

    request: FuzzedRequest
    answer: Answer
    seen: tuple[Seen, ...]
    kinds: tuple[str, ...]
    busy: int
    logged: tuple[str, ...]
    log: str

    @property
    def tracebacks(self) -> int:
        return self.log.count(TRACEBACK)


@dataclass
class Observer:
    """Sends requests to one server.

    :ivar reports: the file that the server's apps write.
    """

    server: Server
    reports: Path
    _read: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    def observe(
        self, request: FuzzedRequest, through: str, attempt: int = 0, quiet_s: float = 0.25
    ) -> Observed:
        """Send the request to an app, and wait until its calls have ended.

        :param attempt: above 0: wait for the log, too.
        :param quiet_s: how long a server that sends nothing has to be waited for.
        """
        log_start = self.server.log_size()
        self._update()
        self._events.clear()
        data = request.raw(through, attempt)
        answer = exchange(self.server.port, data, quiet_s, [request.is_head, False])
        id = request.id(through, attempt)
        busy = self._wait_until_idle(id, quiet_s * IDLE_PER_QUIET)
        if attempt:
            self._wait_for_log(quiet_s)
        events = self._events_of(id)
        return Observed(
            request,
            answer,
            tuple(_seen(each) for each in events if each["event"] == "seen"),
            tuple(each["type"] for each in events if each["event"] == "begin"),
            busy,
            tuple(each["message"] for each in self._events if each["event"] == "log"),
            self.server.log(log_start),
        )

    def _wait_until_idle(self, id: str, timeout_s: float) -> int:
        """The number of calls that still run after a while: zero, unless something is wrong."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._update()
            events = [each["event"] for each in self._events_of(id)]
            busy = events.count("begin") - events.count("end")
            if not busy or time.monotonic() > deadline:
                return busy
            time.sleep(0.005)  # polling, with a deadline: a file has no event to wait for

    def _wait_for_log(self, quiet_s: float) -> None:
        """Wait until the server has logged nothing for a while: servers log after the response."""
        size, deadline = -1, time.monotonic() + LOG_DEADLINE_S
        while size != (size := self.server.log_size()) and time.monotonic() < deadline:
            time.sleep(quiet_s)

    def _events_of(self, id: str) -> list[dict[str, Any]]:
        """What was reported about a request. Its id may have more text, from a folded line."""
        return [each for each in self._events if each["id"].startswith(id)]

    def _update(self) -> None:
        """Read what was added to the reports."""
        with self.reports.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self._read += len(complete)
        self._events += map(json.loads, complete.splitlines())


def _seen(report: dict[str, Any]) -> Seen:
    return Seen(
        report["method"],
        report["path"],
        report["query"],
        tuple((name.lower(), value) for name, value in report["headers"]),
        report["body"],
        report["cut"],
        report["version"] == "1.0",
        report["terminated"],
    )

"""The drills. Each takes a running cluster, lets something happen, and returns what clients saw.

Every drill ends with both hosts ready, all WebSockets open, and a notice that has reached each of
them, whichever host they are on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.hosts.cluster import Cluster
from tests.hosts.load import SOCKETS

__all__ = ["DRILLS", "Figures", "run"]


@dataclass(frozen=True)
class Figures:
    """What happened to requests and WebSockets during a drill.

    :ivar requests: by kind and outcome, such as ``GET / answered``.
    :ivar closed: WebSockets by host and how: ``one moved``, closed for a restart, or ``one lost``.
    :ivar notice: what became of the notice at the end.
    """

    requests: Counter[str]
    closed: Counter[str]
    notice: dict[str, Any]

    def of(self, outcome: str, kind: str = "") -> int:
        """How many requests of this kind had this outcome."""
        return sum(
            number
            for name, number in self.requests.items()
            if name.startswith(kind) and name.endswith(f" {outcome}")
        )

    @property
    def failed(self) -> int:
        """How many requests were not answered."""
        return self.failed_of("")

    def failed_of(self, kind: str) -> int:
        """How many of this kind were not."""
        total = sum(number for name, number in self.requests.items() if name.startswith(kind))
        return total - self.of("answered", kind)


def run(name: str, cluster: Cluster, answers: int) -> Figures:
    """One drill.

    :param answers: how many requests are answered before, between and after its steps.
    """
    cluster.spread_sockets()
    before = cluster.counts()
    cluster.wait_for_answers(answers)
    DRILLS[name](cluster, answers)
    cluster.wait_for_answers(answers)
    cluster.wait_for(
        lambda counts: sum(counts["open"].values()) == SOCKETS, "all WebSockets are open"
    )
    notice = cluster.notice(f"after-{name.replace(' ', '-')}")
    after = cluster.counts()
    return Figures(
        Counter(after["requests"]) - Counter(before["requests"]),
        Counter(after["closed"]) - Counter(before["closed"]),
        notice,
    )


def _drain(cluster: Cluster, answers: int) -> None:
    """SIGTERM: the host is not ready any more, HAProxy notices, and then it stops."""
    host = cluster.hosts["one"]
    assert host.stop() == 0, cluster.log()
    cluster.wait_for_answers(answers)
    host.start()
    _wait_until_used(cluster, "one")


def _upgrade(cluster: Cluster, answers: int) -> None:
    """A new release, on one host after the other."""
    for name, host in cluster.hosts.items():
        assert host.stop() == 0, cluster.log()
        host.start_release("2")
        _wait_until_used(cluster, name)


def _kill(cluster: Cluster, answers: int) -> None:
    """SIGKILL, as when a host loses its power, but its kernel still resets the connections."""
    host = cluster.hosts["one"]
    host.kill()
    cluster.wait_for_answers(answers)
    host.start()
    _wait_until_used(cluster, "one")


def _cut_off(cluster: Cluster, answers: int) -> None:
    """No packet comes or goes. The host runs on, and comes back."""
    place = cluster.hosts["one"].place
    closed = _closed_of(cluster.counts(), "one")
    place.cut_off()
    cluster.wait_for(lambda counts: _closed_of(counts, "one") > closed, "WebSockets are closed")
    cluster.wait_for_answers(answers)
    place.reconnect()
    _wait_until_used(cluster, "one")


def _restart_redis(cluster: Cluster, answers: int) -> None:
    """Redis stops, stays away for a while, and comes back without what it knew."""
    cluster.redis.stop()
    refused = _posts(cluster.counts(), "refused")
    cluster.wait_for(lambda counts: _posts(counts, "refused") > refused, "a POST is refused")
    cluster.redis.start()
    answered = _posts(cluster.counts(), "answered")
    cluster.wait_for(lambda counts: _posts(counts, "answered") > answered + 10, "POSTs go on")


def _posts(counts: dict[str, Any], outcome: str) -> int:
    return int(counts["requests"].get(f"POST /notices {outcome}", 0))


def _closed_of(counts: dict[str, Any], host: str) -> int:
    return sum(n for name, n in counts["closed"].items() if name.startswith(f"{host} "))


def _wait_until_used(cluster: Cluster, host: str) -> None:
    """Wait until HAProxy sends requests to the host again, as a notice from it shows."""
    for number in range(1000):
        if cluster.notice(f"{host}-{number}")["from"] == host:
            return
    raise AssertionError(f"HAProxy sends nothing to {host}\n{cluster.log()}")


DRILLS: dict[str, Callable[[Cluster, int], None]] = {
    "drain": _drain,
    "upgrade": _upgrade,
    "kill": _kill,
    "cut off": _cut_off,
    "restart Redis": _restart_redis,
}

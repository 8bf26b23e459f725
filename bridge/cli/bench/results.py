"""What was measured, as data, and the verdict on it, which may be to stay as you are. Pure.

A difference between two setups counts if it has the same direction in every round and its median
is greater than :data:`NOISE`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.types import Interface

__all__ = ["Kind", "LoadResult", "Measurement", "ratio", "verdict"]

NOISE = 1.05
MAX_FAILED_SHARE = 0.01
"""A setup with a greater share of failed requests is not compared with the others."""

Kind = Literal["bridge", "stay", "other"]
"""With bridge; without an adapter, on a server of the app's own interface; with another adapter."""


@dataclass(frozen=True)
class LoadResult:
    """The result of one load on one server.

    :ivar failed: error responses, and requests without a response.
    :ivar bytes: received, including response heads where wrk counted them.
    :ivar p99_ms_by_path: the 99th percentile of each path, for a load of several paths.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    bytes: float
    p99_ms_by_path: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass
class Measurement:
    """All rounds of one setup.

    :ivar rounds: empty if the setup could not be measured.
    :ivar cpu_us: CPU microseconds per request, of all its processes; None if unknown.
    :ivar cpu_before_s: CPU seconds that its processes had used before the first round.
    :ivar problem: why it could not be measured.
    """

    name: str
    kind: Kind
    rounds: list[LoadResult] = field(default_factory=list)
    cpu_us: float | None = None
    cpu_before_s: float | None = None
    peak_mb: float | None = None
    problem: str = ""

    @property
    def rates(self) -> list[float]:
        return [each.rate for each in self.rounds]

    @property
    def rate(self) -> float:
        """Requests per second, the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def p99_ms(self) -> float:
        return statistics.median(each.p99_ms for each in self.rounds)

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.rounds)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.rounds)

    def discard_if_failing(self) -> None:
        """Discard the rounds if too many requests failed: an error is sent sooner than a page."""
        total = max(self.failed, self.requests)
        if self.failed > total * MAX_FAILED_SHARE:
            self.problem = f"{self.failed:,} of {total:,} requests failed"
            self.rounds.clear()


def ratio(one: Measurement, other: Measurement) -> float:
    """``one`` divided by ``other``: the median of the ratios of the rounds."""
    pairs = zip(one.rates, other.rates, strict=True)
    return statistics.median(a / b if b else float("inf") for a, b in pairs)


def verdict(measurements: Sequence[Measurement], interface: Interface) -> list[str]:
    """Sentences for the user, the most important first."""
    measured = [each for each in measurements if each.rounds]
    ours, stay = _fastest(measured, "bridge"), _fastest(measured, "stay")
    if ours is None:
        return ["No setup with bridge was measured, so bridge cannot be compared."]
    sentences = [_move_or_stay(ours, stay, interface)] if stay is not None else []
    sentences += [f"{_comparison(ours, each)}." for each in measured if each.kind == "other"]
    sentences += [
        f"{each.name}: {each.failed} requests failed." for each in measured if each.failed
    ]
    return sentences


def _fastest(measured: Sequence[Measurement], kind: Kind) -> Measurement | None:
    of_kind = [each for each in measured if each.kind == kind]
    return max(of_kind, key=lambda each: each.rate, default=None)


def _move_or_stay(ours: Measurement, stay: Measurement, interface: Interface) -> str:
    if _is_faster(stay, ours):
        return (
            f"Stay on {interface.upper()}: {stay.name} serves this page "
            f"{ratio(stay, ours):.2f} times as fast as {ours.name}. {_reason_to_move(interface)}"
        )
    if _is_faster(ours, stay):
        return f"Move if you need speed: {_comparison(ours, stay)}."
    return (
        f"Speed is no reason to move: the difference between {ours.name} and {stay.name} is within "
        f"the variation between rounds. {_reason_to_move(interface)}"
    )


def _reason_to_move(interface: Interface) -> str:
    if interface == "asgi":
        return "bridge is for hosts that only support WSGI."
    return "Move for WebSockets or async code, not for speed."


def _is_faster(one: Measurement, other: Measurement) -> bool:
    in_every_round = all(a > b for a, b in zip(one.rates, other.rates, strict=True))
    return in_every_round and ratio(one, other) > NOISE


def _comparison(ours: Measurement, other: Measurement) -> str:
    factor = ratio(ours, other)
    if _is_faster(ours, other):
        return f"{ours.name} is {factor:.2f} times as fast as {other.name}"
    if _is_faster(other, ours):
        return f"{other.name} is {1 / factor:.2f} times as fast as {ours.name}"
    return f"{ours.name} and {other.name} are equally fast here"

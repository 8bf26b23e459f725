"""What the answers of several processes say, and how fast it changes. Pure.

Input: the snapshots of :mod:`bridge.control`, of now and of a moment before. Output: a
:class:`Picture`: a row for each process and one for each request, with numbers or None. A process
may answer anything: whatever has the wrong type counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.control.client import Report

__all__ = ["Picture", "Process", "Row", "number_in", "picture_of"]

_TOO_LARGE = 1e15


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the server.

    :ivar problem: why there is no answer; everything else is None then.
    :ivar busy: threads of all pools that run something.
    :ivar most_threads: of all pools.
    :ivar waiting: jobs that wait for a thread.
    :ivar oldest_wait_s: how long the first of them has waited.
    :ivar lag_s: of the event loop that is most late: the 99th percentile of the last seconds.
    :ivar per_s: requests, or jobs where requests are not watched, that ended in a second.
    """

    pid: int
    problem: str = ""
    answer: Mapping[str, Any] | None = None
    up_s: float | None = None
    busy: float | None = None
    most_threads: float | None = None
    waiting: float | None = None
    oldest_wait_s: float | None = None
    refused: float | None = None
    lag_s: float | None = None
    per_s: float | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    websockets: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer itself, with what only two of them say."""
        if self.answer is None:
            return {"pid": self.pid, "problem": self.problem}
        return {**self.answer, "per_s": self.per_s}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Something that runs in a process. Texts may have anything in them."""

    pid: int
    kind: str
    method: str
    what: str
    mount: str
    thread: str
    for_s: float | None
    waited_s: float | None

    @property
    def is_websocket(self) -> bool:
        return self.kind == "websocket"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A server at one moment.

    :ivar omitted: how many requests are not among the rows.
    """

    processes: tuple[Process, ...]
    rows: tuple[Row, ...]
    omitted: int = 0


def picture_of(reports: Sequence[Report], before: Sequence[Report] = ()) -> Picture:
    """The picture of these reports.

    :param before: those of a moment earlier, for rates.
    """
    earlier = {report.pid: report.answer for report in before if report.answer is not None}
    answers = [(report.pid, report.answer) for report in reports if report.answer is not None]
    return Picture(
        processes=tuple(_process(report, earlier.get(report.pid)) for report in reports),
        rows=tuple(_row(pid, work) for pid, answer in answers for work in _dicts(answer, "work")),
        omitted=int(sum(number_in(answer, "omitted") or 0 for _, answer in answers)),
    )


def _process(report: Report, before: Mapping[str, Any] | None) -> Process:
    answer = report.answer
    if answer is None:
        return Process(pid=report.pid, problem=report.problem)
    pools = _dicts(answer, "pools")
    requests = _dict(answer, "requests")
    return Process(
        pid=report.pid or int(number_in(answer, "pid") or 0),
        answer=answer,
        up_s=number_in(answer, "up_s"),
        busy=_sum(pools, "running"),
        most_threads=_sum(pools, "most_threads"),
        waiting=_sum(pools, "waiting"),
        oldest_wait_s=_most(pools, "oldest_wait_s"),
        refused=_sum(pools, "refused"),
        lag_s=_most(_dicts(answer, "loops"), "lag_p99_s"),
        per_s=None if before is None else _rate(before, answer),
        p50_s=number_in(requests, "p50_s"),
        p99_s=number_in(requests, "p99_s"),
        websockets=number_in(answer, "websockets"),
    )


def _rate(before: Mapping[str, Any], answer: Mapping[str, Any]) -> float | None:
    then, now = number_in(before, "now"), number_in(answer, "now")
    if then is None or now is None or now <= then:
        return None
    return max(_completed(answer) - _completed(before), 0) / (now - then)


def _completed(answer: Mapping[str, Any]) -> float:
    counted = number_in(_dict(answer, "requests"), "completed")
    return _sum(_dicts(answer, "pools"), "completed") or 0 if counted is None else counted


def _row(pid: int, work: Mapping[str, Any]) -> Row:
    texts = {
        name: str(work.get(name, "")) for name in ("kind", "method", "what", "mount", "thread")
    }
    return Row(
        pid=pid, **texts, for_s=number_in(work, "for_s"), waited_s=number_in(work, "waited_s")
    )


# -- what may be missing ---------------------------------------------------------------------------


def number_in(found: Mapping[str, Any], name: str) -> float | None:
    """A number of an answer; None if there is none, or none that can be shown."""
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < _TOO_LARGE else None  # neither infinite nor NaN


def _dict(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _dicts(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = found.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _sum(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    numbers = [number for row in rows if (number := number_in(row, name)) is not None]
    return sum(numbers) if numbers else None


def _most(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    return max(
        (number for row in rows if (number := number_in(row, name)) is not None), default=None
    )

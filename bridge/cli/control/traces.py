"""``bridge stacks``: reads from the processes of a server, and writes text.

Input: the answers of the processes of a server. Output: lines as those of a traceback, the
innermost frame last. Every text of a process is escaped here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bridge._http.client_text import one_line
from bridge.cli.control.figures import number_in
from bridge.cli.control.screen import request_text
from bridge.control.client import Report, find, read

__all__ = ["look", "text_of"]

TIMEOUT_S = 5.0
LOOP_S = 0.2
"""How long an event loop gets to answer before it is called blocked."""
LONGEST = 300


def look(address: str | None) -> list[Report]:
    """
    :raises ControlError: no server listens, or several do.
    """
    paths = find(address)
    read(paths, "stacks", TIMEOUT_S)  # from now on event loops are measured
    time.sleep(LOOP_S)
    return read(paths, "stacks", TIMEOUT_S)


def text_of(reports: Iterable[Report]) -> str:
    """The whole output."""
    return "".join(f"{line}\n" for report in reports for line in _process(report))


def _process(report: Report) -> Iterator[str]:
    answer = report.answer
    if answer is None:
        yield f"process {report.pid}: {_shown(report.problem)}"
        return
    busy, blocked, idle = (_rows(answer, name) for name in ("busy", "blocked", "idle"))
    omitted = int(number_in(answer, "omitted") or 0)
    running = len(busy) + omitted
    yield f"process {report.pid or _shown(answer.get('pid'))}: {running} running"
    for row in blocked:
        yield ""
        where = f", on {_shown(row['name'])}" if row.get("name") else ""
        yield f"  event loop blocked for {_seconds(number_in(row, 'for_s'))}{where}, at"
        yield from _stack(row)
    for row in busy:
        yield ""
        yield f"  {_subject(row)}"
        yield from _stack(row)
    if omitted:
        yield ""
        yield f"  and {omitted} more, which have run for a shorter time or are WebSockets"
    if idle:
        yield ""
        yield "  waiting"
    for row in idle:
        name = _shown(row.get("name")) or "without a name"
        at, line = _shown(row.get("at")), _shown(row.get("line"))
        yield f"    {_shown(row.get('count'))} x {_shown(row.get('kind'))} {name}" + (
            f", at {at}:{line}" if at else ""
        )
    yield ""


def _subject(row: Mapping[str, Any]) -> str:
    kind, method, what = (str(row.get(name, "")) for name in ("kind", "method", "what"))
    where = f"on thread {_shown(row['thread'])}" if row.get("thread") else "on the event loop"
    mount = f", mounted at {_shown(row['mount'])}" if row.get("mount") else ""
    for_s = _seconds(number_in(row, "for_s"))
    return f"{request_text(kind, method, what)} for {for_s} {where}{mount}"


def _stack(row: Mapping[str, Any]) -> Iterator[str]:
    lines = _rows(row, "stack")
    for each in lines:
        file, line = _shown(each.get("file")), _shown(each.get("line"))
        yield f"    File {file}:{line}, in {_shown(each.get('function'))}"
        if each.get("text"):
            yield f"      {_shown(each['text'])}"
    if not lines:
        yield "    (has moved on)"


def _rows(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = found.get(name)
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []


def _shown(value: object) -> str:
    return "" if value is None else one_line(str(value)[:LONGEST])


def _seconds(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds:.1f} s"

"""The tables of ``bridge top``.

Input: a :class:`~bridge.cli.control.figures.Picture`. Output: what rich shows, on a terminal or as
plain text. Every text of a process is escaped here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from enum import Enum
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridge._http.client_text import LONGEST, ClientText, one_line
from bridge.cli.control.figures import Picture, Process, Row

__all__ = ["Order", "print_once", "screen_of"]

PLAIN_WIDTH = 200
SLOW_S, STUCK_S = 1.0, 10.0
LATE_S = 0.05


class Order(Enum):
    """What the requests are sorted by."""

    TIME = "time"
    PROCESS = "process"
    PATH = "path"
    THREAD = "thread"

    @property
    def next(self) -> Order:
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """The longest first among equals, but WebSockets, meant to last, behind others."""
        longest_first = sorted(rows, key=lambda row: (row.is_websocket, -(row.for_s or 0)))
        keys: dict[Order, Callable[[Row], str]] = {
            Order.PATH: lambda row: row.what,
            Order.THREAD: lambda row: row.thread,
            Order.PROCESS: lambda row: f"{row.pid:020}",
        }
        return sorted(longest_first, key=keys[self]) if self in keys else longest_first


def screen_of(picture: Picture, order: Order, *, height: int) -> RenderableType:
    """What fits on a terminal.

    :param height: of the terminal, in lines.
    """
    room = max(height - len(picture.processes) - 8, 1)
    rows = order.sort(picture.rows)
    left = max(len(rows) - room, 0) + picture.omitted
    return Group(
        Panel(_processes(picture), title="bridge top", title_align="left", padding=(0, 1)),
        Panel(
            _requests(rows[:room]),
            title=f"running: {len(rows) + picture.omitted}, by {order.value}",
            title_align="left",
            subtitle=f"{left} more" if left else None,
            padding=(0, 1),
        ),
        Text(" q quit   s sort", style="dim"),
    )


def print_once(picture: Picture) -> None:
    """Print it to stdout as plain text, and with colours on a terminal."""
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else PLAIN_WIDTH
    written = StringIO()
    console = Console(
        file=written, width=width, force_terminal=is_terminal, highlight=False, emoji=False
    )
    console.print(_processes(picture))
    console.print()
    console.print(_requests(Order.TIME.sort(picture.rows)))
    if picture.omitted:
        console.print(f"{picture.omitted} more")
    lines = written.getvalue().splitlines()
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines))


def _processes(picture: Picture) -> Table:
    table = _table("PID", "UP", "THREADS", "QUEUE", "OLDEST", "REFUSED", "LAG", "PER S")
    for name in ("P50", "P99", "WEBSOCKETS"):
        table.add_column(name, justify="right", no_wrap=True)
    for process in picture.processes:
        table.add_row(*(_cells(process)))
    return table


def _cells(process: Process) -> list[Text]:
    if process.answer is None:
        problem = Text(one_line(process.problem)[:LONGEST], style="bold red", no_wrap=False)
        return [Text(str(process.pid)), problem]
    return [
        Text(str(process.pid)),
        Text(_seconds(process.up_s)),
        Text(f"{_count(process.busy)}/{_count(process.most_threads)}", style=_full(process)),
        Text(_count(process.waiting), style="yellow" if process.waiting else ""),
        Text(_seconds(process.oldest_wait_s) if process.waiting else "-"),
        Text(_count(process.refused), style="red" if process.refused else ""),
        Text(_seconds(process.lag_s), style=_late(process.lag_s)),
        Text("-" if process.per_s is None else f"{process.per_s:.1f}"),
        Text(_seconds(process.p50_s)),
        Text(_seconds(process.p99_s)),
        Text(_count(process.websockets)),
    ]


def _requests(rows: Iterable[Row]) -> Table:
    table = _table("FOR", "WAITED")
    for name in ("PID", "THREAD", "MOUNT"):
        table.add_column(name, no_wrap=True)
    table.add_column("REQUEST", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        table.add_row(
            Text(_seconds(row.for_s), style="" if row.is_websocket else _slow(row.for_s)),
            Text(_seconds(row.waited_s)),
            Text(str(row.pid)),
            Text(_shown(row.thread) or "event loop"),
            Text(_shown(row.mount) or "/"),
            Text(request_text(row.kind, row.method, row.what)),
        )
    return table


def request_text(kind: str, method: str, what: str) -> str:
    """A request on one line, without control characters: ``GET /shop``."""
    verb = method if kind == "http" else kind
    return f"{_shown(verb)} {ClientText(what)}"


def _shown(text: str) -> str:
    return one_line(text[:LONGEST])


def _table(*numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _seconds(seconds: float | None) -> str:
    """Three digits at most, with a unit: ``12ms``, ``3.4s``, ``5m``."""
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 100:
        return f"{seconds:.1f}s"
    return f"{seconds / 60:.0f}m" if seconds < 6000 else f"{seconds / 3600:.0f}h"


def _count(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _full(process: Process) -> str:
    busy, most = process.busy, process.most_threads
    return "red" if busy is not None and most is not None and busy >= most > 0 else ""


def _late(lag_s: float | None) -> str:
    return "red" if lag_s is not None and lag_s > LATE_S else ""


def _slow(for_s: float | None) -> str:
    if for_s is None or for_s < SLOW_S:
        return ""
    return "yellow" if for_s < STUCK_S else "bold red"

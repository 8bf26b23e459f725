"""The table, the bars and the verdict on the terminal; the same as JSON, the bars as SVG.

What enters: what was measured. What leaves: text on stdout, and files where they were asked for.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.bench.compare import Measured
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.svg import Bar, bars, number
from bridge.cli.bench.verdict import ratio_of

__all__ = ["show", "title_of", "write_json", "write_svg"]

BAR_CELLS = 34


def title_of(options: BenchOptions) -> str:
    return f"{options.target}, {options.path}, {options.connections} connections"


def show(
    every: Sequence[Measured], lines: Sequence[str], notes: Sequence[str], options: BenchOptions
) -> None:
    """Print all of it."""
    console = Console(highlight=False, soft_wrap=True)
    measured = sorted((e for e in every if e.answers), key=lambda e: e.rate, reverse=True)
    console.print(_bars(measured, options))
    console.print(_table(measured))
    for each in every:
        if each.problem:
            console.print(Text(f"{each.way.name}: not measured: {each.problem}"))
    for line in lines:
        console.print(Text(line, style="bold"))
    for note in notes:
        console.print(Text(f"note: {note}", style="italic"))


def _grid(title: str = "") -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))


def _bars(measured: Sequence[Measured], options: BenchOptions) -> Table:
    table = _grid(title_of(options))
    for name in ("", "requests/s", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    most = measured[0].rate or 1.0
    for each in measured:
        cell = "█" if each.way.kind == "bridge" else "░"
        bar = cell * max(1, round(each.rate / most * BAR_CELLS))
        table.add_row(each.way.name, number(each.rate), bar)
    return table


def _table(measured: Sequence[Measured]) -> Table:
    table = _grid()
    for place, name in enumerate(("", "least - most", "p99, ms", "CPU µs", "MB", "bridge is")):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    ours = next((each for each in measured if each.way.kind == "bridge"), None)
    for each in measured:
        table.add_row(*_row(each, ours))
    return table


def _row(each: Measured, ours: Measured | None) -> list[str]:
    is_same = ours is None or ours is each
    return [
        each.way.name,
        f"{number(min(each.rates))} - {number(max(each.rates))}",
        number(each.p99_ms),
        "" if each.cpu_us is None else number(each.cpu_us),
        "" if each.peak_mb is None else number(each.peak_mb),
        "" if ours is None or is_same else f"{ratio_of(ours, each):.2f} x",
    ]


def write_svg(file: Path, every: Sequence[Measured], options: BenchOptions) -> None:
    """The bars."""
    measured = sorted((e for e in every if e.answers), key=lambda e: e.rate, reverse=True)
    rows = [
        Bar(e.way.name, e.rate, min(e.rates), max(e.rates), e.way.kind == "bridge")
        for e in measured
    ]
    file.write_text(bars(title_of(options), "requests/s", rows), "utf-8")


def write_json(
    file: Path, every: Sequence[Measured], lines: Sequence[str], options: BenchOptions
) -> None:
    """Everything that was measured, and what it was taken for."""
    told = {
        "target": options.target,
        "path": options.path,
        "connections": options.connections,
        "seconds": options.seconds,
        "threads": options.threads,
        "python": platform.python_version(),
        "ways": [_data(each) for each in every],
        "verdict": list(lines),
    }
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _data(each: Measured) -> dict[str, Any]:
    return {
        "name": each.way.name,
        "kind": each.way.kind,
        "problem": each.problem or None,
        "cpu_us": each.cpu_us,
        "peak_mb": each.peak_mb,
        "rounds": [
            {"rate": a.rate, "p50_ms": a.p50_ms, "p99_ms": a.p99_ms, "failed": a.failed}
            for a in each.answers
        ],
    }

"""Reports measurements: bars, table and verdict on stdout, all of it as JSON, the bars as SVG."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.results import Measurement, ratio
from bridge.cli.bench.svg import Bar, bars, number
from bridge.cli.plain_text import plain_text

__all__ = ["show", "write_json", "write_svg"]

BAR_CELLS = 34


def _title(options: BenchOptions) -> str:
    return f"{options.target}, {options.path}, {options.connections} connections"


def show(
    measurements: Sequence[Measurement],
    verdict: Sequence[str],
    notes: Sequence[str],
    options: BenchOptions,
) -> None:
    """Print everything for the terminal."""
    console = Console(highlight=False, soft_wrap=True)
    ranked = _fastest_first(measurements)
    console.print(_bars(ranked, options))
    console.print(_table(ranked))
    for each in measurements:
        if each.problem:
            console.print(plain_text(f"{each.name}: not measured: {each.problem}"))
    for sentence in verdict:
        console.print(plain_text(sentence, style="bold"))
    for note in notes:
        console.print(plain_text(f"note: {note}", style="italic"))


def _fastest_first(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Those that were measured."""
    measured = (each for each in measurements if each.rounds)
    return sorted(measured, key=lambda each: each.rate, reverse=True)


def _grid(title: str = "") -> Table:
    return Table(
        title=plain_text(title, style="table.title") if title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1),
    )


def _bars(ranked: Sequence[Measurement], options: BenchOptions) -> Table:
    table = _grid(_title(options))
    for name in ("", "requests/s", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    highest = ranked[0].rate or 1.0
    for each in ranked:
        cell = "█" if each.kind == "bridge" else "░"
        bar = cell * max(1, round(each.rate / highest * BAR_CELLS))
        table.add_row(each.name, number(each.rate), bar)
    return table


def _table(ranked: Sequence[Measurement]) -> Table:
    table = _grid()
    for place, name in enumerate(("", "min - max", "p99, ms", "CPU µs", "MB", "bridge is")):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    ours = next((each for each in ranked if each.kind == "bridge"), None)
    for each in ranked:
        table.add_row(*_row(each, ours))
    return table


def _row(each: Measurement, ours: Measurement | None) -> list[str]:
    return [
        each.name,
        f"{number(min(each.rates))} - {number(max(each.rates))}",
        number(each.p99_ms),
        "" if each.cpu_us is None else number(each.cpu_us),
        "" if each.peak_mb is None else number(each.peak_mb),
        "" if ours is None or ours is each else f"{ratio(ours, each):.2f} x",
    ]


def write_svg(file: Path, measurements: Sequence[Measurement], options: BenchOptions) -> None:
    """Write the bars."""
    rows = [
        Bar(each.name, each.rate, min(each.rates), max(each.rates), each.kind == "bridge")
        for each in _fastest_first(measurements)
    ]
    file.write_text(bars(_title(options), "requests/s", rows), "utf-8")


def write_json(
    file: Path, measurements: Sequence[Measurement], verdict: Sequence[str], options: BenchOptions
) -> None:
    """Write every number and the verdict."""
    data = {
        "target": options.target,
        "path": options.path,
        "connections": options.connections,
        "seconds": options.seconds,
        "threads": options.threads,
        "python": platform.python_version(),
        "ways": [_json(each) for each in measurements],
        "verdict": list(verdict),
    }
    file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _json(each: Measurement) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "problem": each.problem or None,
        "cpu_us": each.cpu_us,
        "peak_mb": each.peak_mb,
        "rounds": [
            {"rate": r.rate, "p50_ms": r.p50_ms, "p99_ms": r.p99_ms, "failed": r.failed}
            for r in each.rounds
        ],
    }

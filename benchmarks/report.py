"""Reports results as tables, pictures and JSON. ``python -m benchmarks.report FOLDER`` creates the
pages and the pictures again from the ``results.json`` in that folder.

Input: contenders with their samples. Output: plain data, which is the JSON, and from it tables for
the terminal, ``*.inc`` pages for the documentation, and one SVG for each work.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import waterfall
from benchmarks.side_by_side import Contender, round_ratios
from benchmarks.work import Work
from bridge.cli.bench.svg import Bar, Line, bars, lines, number

__all__ = ["Results", "print_in_process", "print_targets", "print_work", "write"]

OURS = "bridge"
COLUMNS = {
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "cpu_us": "CPU µs per request",
    "peak_mb": "peak memory, MB",
    "rss_rise_mb": "memory increase, MB",
    "cpu_ms_per_mb": "CPU ms per MB",
}
Data = dict[str, Any]


@dataclass
class Results:
    """The results of one run; its fields are those of the JSON.

    :ivar work: by name: title, unit, contenders with their rounds, targets with their verdicts.
    :ivar growth: see `benchmarks.growth`; likewise for ``waterfall`` and ``in_process``.
    """

    machine: dict[str, str]
    settings: Data
    work: dict[str, Data] = field(default_factory=dict)
    growth: list[Data] = field(default_factory=list)
    waterfall: list[Data] = field(default_factory=list)
    in_process: Data = field(default_factory=dict)

    def add(self, name: str, work: Work, contenders: Sequence[Contender], connections: int) -> None:
        self.work[name] = {
            "title": work.title,
            "metric": work.metric,
            "unit": work.unit,
            "less_is_better": work.less_is_better,
            "x_axis": work.x_axis,
            "note": work.note,
            "connections": connections,
            "contenders": [_contender(each, contenders, work.metric) for each in contenders],
            "targets": [_target(work, number, contenders) for number in range(len(work.targets))],
        }


def _contender(each: Contender, contenders: Sequence[Contender], metric: str) -> Data:
    base = next((other for other in contenders if other.name == OURS), None)
    ratios: list[float] = []
    if base is not None and base is not each:
        ratios = round_ratios(base, each, metric)
    names = dict.fromkeys(name for sample in each.samples for name in sample)
    return {
        "name": each.name,
        "median": {name: each.median_of(name) for name in names},
        "rounds": [{k: round(v, 4) for k, v in sample.items()} for sample in each.samples],
        "bridge_is": statistics.median(ratios) if ratios else None,
        "failed": each.failed,
    }


def _target(work: Work, place: int, contenders: Sequence[Contender]) -> Data:
    target = work.targets[place]
    verdict = target.judge(contenders)
    return {
        "work": work.title,
        "base": target.base,
        "against": target.against_label,
        "required": target.requirement,
        "reached": None if verdict is None else verdict.reached,
        "rounds": [] if verdict is None else [round(value, 4) for value in verdict.values],
        "is_reached": verdict is not None and verdict.is_reached,
    }


# -- on the terminal -------------------------------------------------------------------------------


def print_work(work: Data) -> None:
    """Print the table of one work."""
    table = Table(title=_heading(work), title_justify="left")
    for place, name in enumerate(_header(work)):
        table.add_column(name, justify="right" if place else "left")
    for row in _rows(work):
        table.add_row(*row)
    _console().print(table)


def print_targets(results: Results) -> None:
    """Print each target and the value that was reached."""
    table = Table(title="Targets", title_justify="left")
    for place, name in enumerate(TARGET_HEADER):
        table.add_column(name, justify="right" if place in (2, 3) else "left")
    for row in _target_rows(results):
        table.add_row(*row)
    _console().print(table)


TARGET_HEADER = ("work", "against", "required", "reached", "")


def _target_rows(results: Results) -> list[list[str]]:
    return [
        [
            target["work"],
            target["against"],
            target["required"],
            "not measured" if target["reached"] is None else f"{target['reached']:.2f}",
            "yes" if target["is_reached"] else "no",
        ]
        for work in results.work.values()
        for target in work["targets"]
    ]


def _console() -> Console:
    """A console as wide as the terminal, or as the tables if the output is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=140)


def print_in_process(results: Results) -> None:
    """Print the cost of one request without a server."""
    table = Table(title="In process", title_justify="left")
    for place, name in enumerate(IN_PROCESS_HEADER):
        table.add_column(name, justify="right" if place else "left")
    for row in _in_process_rows(results):
        table.add_row(*row)
    _console().print(table)


IN_PROCESS_HEADER = ("one request", "CPU µs", "bytecode instructions", "hand-overs")


def _in_process_rows(results: Results) -> list[list[str]]:
    return [
        [name, number(each["cpu_us"]), f"{each['instructions']:,}", str(each["hand_overs"])]
        for name, each in results.in_process.items()
    ]


def _heading(work: Data) -> str:
    counts = work["metric"] == "rate" and not work["x_axis"]
    return f"{work['title']}, {work['connections']} connections" if counts else str(work["title"])


def _extra_columns(work: Data) -> dict[str, str]:
    known = {name for each in work["contenders"] for name, v in each["median"].items() if v}
    return {name: title for name, title in COLUMNS.items() if name in known}


def _has_ratios(work: Data) -> bool:
    return any(each["bridge_is"] for each in work["contenders"])


def _header(work: Data) -> list[str]:
    ratio = ["bridge is"] if _has_ratios(work) else []
    return ["", work["unit"], "min - max", *ratio, *_extra_columns(work).values(), "failed"]


def _rows(work: Data) -> list[list[str]]:
    rows = []
    for each in work["contenders"]:
        low, high = _spread(work, each)
        ratio = [f"{each['bridge_is']:.2f} x" if each["bridge_is"] else ""]
        rows.append(
            [
                each["name"],
                number(each["median"].get(work["metric"]) or 0.0),
                f"{number(low)} - {number(high)}",
                *(ratio if _has_ratios(work) else []),
                *(number(each["median"].get(name) or 0.0) for name in _extra_columns(work)),
                str(each["failed"] or ""),
            ]
        )
    return rows


def _spread(work: Data, each: Data) -> tuple[float, float]:
    values = [sample.get(work["metric"], 0.0) for sample in each["rounds"]]
    return min(values), max(values)


# -- in files --------------------------------------------------------------------------------------


def write(results: Results, folder: Path) -> None:
    """Write ``results.json``, the ``*.inc`` pages and the pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(asdict(results), indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(data + "\n", "utf-8")
    for name, work in results.work.items():
        (folder / f"{name}.svg").write_text(_picture(work), "utf-8")
    for each in results.growth:
        (folder / f"growth-{each['name']}.svg").write_text(_growth_picture(each), "utf-8")
    if results.waterfall:
        steps = [waterfall.Step(**step) for step in results.waterfall]
        (folder / "waterfall.svg").write_text(waterfall.draw(steps), "utf-8")
    if results.in_process:
        page = _markdown(list(IN_PROCESS_HEADER), _in_process_rows(results))
        (folder / "in-process.inc").write_text(page, "utf-8")
    (folder / "report.inc").write_text(_page(results), "utf-8")
    (folder / "targets.inc").write_text(_targets_page(results), "utf-8")
    (folder / "machine.inc").write_text(_machine_page(results), "utf-8")


def _picture(work: Data) -> str:
    if work["x_axis"]:
        return lines(work["title"], work["x_axis"], work["unit"], _lines(work), log_x=True)
    rows = []
    for each in work["contenders"]:
        low, high = _spread(work, each)
        value = each["median"].get(work["metric"]) or 0.0
        rows.append(Bar(each["name"], value, low, high, each["name"].startswith(OURS)))
    rows.sort(key=lambda row: row.value, reverse=not work["less_is_better"])
    note = "less is better" if work["less_is_better"] else ""
    return bars(_heading(work), work["unit"], rows, note=note)


def _lines(work: Data) -> list[Line]:
    """Lines from contenders that are named ``NUMBER`` or ``NUMBER, OTHER APP``."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in work["contenders"]:
        x, _, other = each["name"].partition(", ")
        value = each["median"].get(work["metric"]) or 0.0
        points.setdefault(other or OURS, []).append((float(x.replace(",", "")), value))
    return [Line(name, each, name == OURS) for name, each in points.items()]


def _growth_picture(each: Data) -> str:
    series = [Line(name, points, name == OURS) for name, points in each["lines"].items()]
    return lines(each["title"], each["x"], each["y"], series, log_x=False)


def _page(results: Results) -> str:
    return "\n".join(_section(name, work) for name, work in results.work.items())


def _section(name: str, work: Data) -> str:
    picture = f"```{{raw}} html\n:file: results/{name}.svg\n```\n"
    note = f"{work['note']}\n" if work["note"] else ""
    table = _markdown(_header(work), _rows(work))
    return f"### {_heading(work)}\n\n{picture}\n{table}\n{note}"


def _targets_page(results: Results) -> str:
    return _markdown(list(TARGET_HEADER), _target_rows(results))


def _machine_page(results: Results) -> str:
    settings = results.settings
    rounds = f"{settings['rounds']} of {settings['seconds']} s, in turn"
    rows = [["rounds", rounds], *([name, value] for name, value in results.machine.items())]
    return _markdown(["", ""], rows)


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["--:" if column else "---" for column in header[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows]) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(Results(**json.loads((folder / "results.json").read_text("utf-8"))), folder)

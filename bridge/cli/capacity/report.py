"""Shows a plan: as text, each figure with its calculation, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from bridge.cli.capacity.figures import Figure
from bridge.cli.capacity.options import CapacityOptions
from bridge.cli.plain_text import plain_text

__all__ = ["as_json", "show"]


def show(figures: Sequence[Figure], problems: Sequence[str], notes: Sequence[str]) -> None:
    """Print the figures of each section below its heading, then the problems and notes."""
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(figure.name) for figure in figures)
    number_width = max(len(figure.text) for figure in figures)
    section = ""
    for figure in figures:
        if figure.section != section:
            section = figure.section
            console.print(plain_text(section, style="bold"))
        line = f"  {figure.name:{width}}  {figure.text:>{number_width}}  {figure.why}"
        console.print(plain_text(line))
    for problem in problems:
        console.print(plain_text(f"too small: {problem}", style="bold"))
    for note in notes:
        console.print(plain_text(f"note: {note}", style="italic"))


def as_json(
    options: CapacityOptions,
    figures: Sequence[Figure],
    problems: Sequence[str],
    notes: Sequence[str],
) -> str:
    """The options, and each figure by its key."""
    data: dict[str, Any] = {
        "options": asdict(options),
        "plan": {figure.key: figure.value for figure in figures},
        "problems": list(problems),
        "notes": list(notes),
    }
    return json.dumps(data, indent=1, ensure_ascii=False)

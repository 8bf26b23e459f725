"""What is about to be served, in a box on a terminal and in plain lines elsewhere.

What enters: facts, in the order to show them. What leaves: text on stderr, where servers log.
``NO_COLOR`` takes the colours away; a pipe, a file or a dumb terminal the box as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["show"]


def show(facts: Mapping[str, str], notes: Iterable[str], *, console: Console | None = None) -> None:
    """Show the facts and, below them, the notes.

    :param console: where to; stderr if not given.
    """
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal and not console.is_dumb_terminal:
        console.print(_panel(facts, notes))
        return
    for name, value in [*facts.items(), *(("note", note) for note in notes)]:
        console.print(Text(f"bridge: {name}: {value}"))


def _panel(facts: Mapping[str, str], notes: Iterable[str]) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value, style="bold cyan" if name == "URL" else ""))
    for note in notes:
        table.add_row("note", Text(note, style="italic"))
    return Panel(table, title="bridge run", title_align="left", expand=False, padding=(0, 1))

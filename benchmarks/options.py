"""Options that the benchmarks share, and the files that they write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["number", "out", "write_files"]

F = TypeVar("F", bound=Callable[..., Any])


def number(name: str, default: int, help: str, *, least: int = 1) -> Callable[[F], F]:
    """An option that is a whole number."""
    kind = click.IntRange(least)
    return click.option(name, type=kind, default=default, show_default=True, help=help)


def out(name: str) -> Callable[[F], F]:
    """The option for a folder, for :func:`write_files`."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help=f"Write {name}.json, {name}.inc and {name}.svg there. Default: no files.",
    )


def write_files(folder: Path, name: str, data: Mapping[str, Any], table: str, drawing: str) -> None:
    """Write the results, a table for a page, and a picture."""
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    (folder / f"{name}.inc").write_text(table, "utf-8")
    (folder / f"{name}.svg").write_text(drawing, "utf-8")

"""Options that the benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["number"]

F = TypeVar("F", bound=Callable[..., Any])


def number(name: str, default: int, help: str, *, least: int = 1) -> Callable[[F], F]:
    """An option that is a whole number."""
    kind = click.IntRange(least)
    return click.option(name, type=kind, default=default, show_default=True, help=help)

"""Paths and prefixes, as both interfaces have them. Pure; any thread."""

from __future__ import annotations

__all__ = ["shown"]


def shown(prefix: str) -> str:
    """A normal prefix as messages show it: the root as ``/``."""
    return prefix or "/"

"""The user of the Django apps of the tests."""

from __future__ import annotations

__all__ = ["PASSWORD", "USER"]

USER, PASSWORD = "admin", "correct horse"

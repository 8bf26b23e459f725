"""The error messages of a target that cannot be loaded, and the suggestions in them. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bridge.errors import AppLoadError

__all__ = ["app_failed", "cannot_load", "did_you_mean", "suggestions"]

_MAX_LISTED = 8


def cannot_load(target: str, why: str) -> AppLoadError:
    """The error for a target that names no app. ``why`` is a sentence without its full stop."""
    return AppLoadError(f"cannot load {target!r}: {why}")


def app_failed(target: str, doing: str, error: BaseException) -> AppLoadError:
    """The error for a target whose own code raised ``error``: raise it ``from error``."""
    what = f"failed with {type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SystemExit):
        what = f"called sys.exit({error.code!r}); guard it with if __name__ == '__main__'"
    return cannot_load(target, f"{doing} {what}")


def did_you_mean(choices: Iterable[str]) -> str:
    """A question to append to a message, with a space before it; empty without choices."""
    quoted = " or ".join(repr(choice) for choice in choices)
    return f" Did you mean {quoted}?" if quoted else ""


def suggestions(name: str, available: Iterable[str], kind: str) -> str:
    """The available names that resemble ``name``; if none does, up to eight of all."""
    available = sorted(set(available))
    similar = did_you_mean(difflib.get_close_matches(name, available))
    if similar or not available:
        return similar
    more = ", ..." if len(available) > _MAX_LISTED else ""
    return f" Available {kind}: {', '.join(available[:_MAX_LISTED])}{more}"

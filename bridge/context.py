"""Context variables across threads: what was set over there, seen over here. Pure.

What enters: the :class:`contextvars.Context` that other code has run in. What leaves: its
values, in the current context. Runs on whichever thread is to see them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

from asgiref import local

__all__ = ["TAGS_LOCALS", "adopt", "holds_locals", "rehome"]

# asgiref >= 3.12 tags the data of a `Local` with the thread that owns it, and shows it to no other.
# Moving a request to another thread on purpose means to move the ownership, too.
_storage: type | None = getattr(local, "_Storage", None)
_rehome: Callable[[Any], Any] | None = getattr(local, "_rehome", None)
TAGS_LOCALS = _storage is not None and _rehome is not None
_missing = object()


def adopt(context: Context, *, but: ContextVar[Any] | None = None) -> None:
    """Make the values of ``context`` those of the current context, on the current thread.

    :param but: a variable that is left as it is.
    """
    for variable, value in context.items():
        if variable is but:
            continue
        if _storage is not None and _rehome is not None and isinstance(value, _storage):
            value = _rehome(value)
        if variable.get(_missing) is not value:
            variable.set(value)


def holds_locals(context: Context) -> bool:
    """Whether there is anything to :func:`rehome` in ``context``."""
    for value in context.values():  # noqa: SIM110  # any() would cost a generator for each call
        if type(value) is _storage:
            return True
    return False


def rehome(context: Context) -> None:
    """Let the current thread own asgiref's `Local` data in ``context``, which it has entered."""
    if _storage is None or _rehome is None:
        return
    for variable, value in context.items():
        if isinstance(value, _storage):
            variable.set(_rehome(value))

"""Context variables across threads: what was set over there, seen over here. Pure.

What enters: the :class:`contextvars.Context` that other code has run in. What leaves: its
values, in the current context. Runs on whichever thread is to see them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from contextlib import suppress
from contextvars import Context, ContextVar, Token
from functools import partial
from typing import Any

from asgiref import local

__all__ = ["TAGS_LOCALS", "Showing", "TwinContext", "adopt", "holds_locals", "rehome"]

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
        value = _own(value)
        if variable.get(_missing) is not value:
            variable.set(value)


def _own(value: Any) -> Any:
    """The value of a variable, for the current thread."""
    if _storage is not None and _rehome is not None and isinstance(value, _storage):
        return _rehome(value)
    return value


class TwinContext:
    """The context that a context manager is entered and left in, while its body has another.

    Both see what the other has set, as if they were one: a token that the manager got when it was
    entered is of use when it is left, because it is left in the very same context.

    :param context: the manager's. Nothing runs in it when the methods are called.
    :param but: a variable that each has of its own.
    """

    def __init__(self, context: Context, *, but: ContextVar[Any] | None = None) -> None:
        self._context = context
        self._but = but
        self._tokens: dict[ContextVar[Any], Token[Any]] = {}
        self._before_leaving = context

    def show_body(self) -> None:
        """In the body's context: what the manager has set when it was entered."""
        for variable, value in self._context.items():
            value = _own(value)
            if variable is not self._but and variable.get(_missing) is not value:
                self._tokens[variable] = variable.set(value)
        self._before_leaving = self._context.copy()

    def show_manager(self, body: Context) -> None:
        """On the manager's thread or loop, before it is left: what ``body`` has set."""
        self._context.run(partial(adopt, body, but=self._but))
        self._before_leaving = self._context.copy()

    def show_caller(self) -> None:
        """In the body's context: what the manager has set, and reset, when it was left."""
        for variable, value in self._context.items():
            if variable is not self._but and self._before_leaving.get(variable) is not value:
                variable.set(_own(value))
        for variable, token in self._tokens.items():
            if variable not in self._context:
                with suppress(ValueError):  # left in another context than it was entered in
                    variable.reset(token)


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


class Showing:
    """Values of another context, set in the current one until :meth:`end`.

    Several may be open on a thread, and end in any order. One that ends below another leaves it
    what it has to undo: undone at once, it would come back with the end of the other.

    :param but: variables that are never shown.
    """

    __slots__ = ("_but", "_steps")

    def __init__(self, *, but: Container[object]) -> None:
        self._but = but
        self._steps: list[_Step] = []

    def show(self, context: Context) -> None:
        """Set what ``context`` has in the current one, too."""
        if holds_locals(context):
            context = context.copy()
            context.run(rehome, context)
        for variable, value in context.items():
            if variable not in self._but and variable.get(_missing) is not value:
                self._steps.append(_Step(variable, value))

    def end(self, *, undo: bool = True) -> None:
        """Take it all back, where this is the context that it was set in. On any thread.

        :param undo: False: leave it; the context is given up.
        """
        while self._steps:
            self._steps.pop().end(undo=undo)


class _Step:
    """One variable set to one value, on the current thread."""

    __slots__ = ("_order", "_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self._variable = variable
        self._value = value
        self._token: Token[Any] = variable.set(value)
        self._order = _here.steps
        self._order.append(self)

    def end(self, *, undo: bool) -> None:
        order = self._order.copy()  # its own thread, or a finalizer, may change it meanwhile
        self._order.remove(self)
        if undo and not self._leave_to(order[order.index(self) + 1 :]):
            self._undo()

    def _leave_to(self, later: list[_Step]) -> bool:
        """Whether one of these would bring the value back, and so undoes this, too."""
        for step in later:
            if step._variable is self._variable and step._token.old_value is self._value:
                step._token = self._token
                return True
        return False

    def _undo(self) -> None:
        if self._order is _here.steps:  # nobody undoes it on a thread that has never seen it
            with suppress(ValueError):  # ended in another context, which has not, either
                self._variable.reset(self._token)


class _Here(threading.local):
    """:ivar steps: of what is shown on this thread, in their order."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []


_here = _Here()

"""Context variables across threads: copy what other code has set into the current context.

Everything here runs on the thread, and in the context, that is to see the values.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from contextlib import suppress
from contextvars import Context, ContextVar, Token
from functools import partial
from typing import Any

from bridge._threads.asgiref_state import adopt_with, owned

__all__ = ["ContextOverlay", "ManagerContext", "adopt", "adopt_changes", "has_changed"]

_missing = object()


def adopt(context: Context, *, but: ContextVar[Any] | None = None) -> None:
    """Set every variable of ``context`` in the current context, too.

    :param but: a variable that keeps its value.
    """
    for variable, value in context.items():
        if variable is but:
            continue
        value = owned(value)
        if variable.get(_missing) is not value:
            variable.set(value)


adopt_with(adopt)


def adopt_changes(context: Context, since: Context) -> None:
    """Set those variables of ``context`` in the current context that ``since`` has not, or not so.

    Both contexts go on from ``since``: what was set only in the current one is kept.
    """
    for variable, value in context.items():
        if since.get(variable, _missing) is not value:
            variable.set(owned(value))


def has_changed(context: Context, since: Context, but: Container[object] = ()) -> bool:
    """Whether a variable has been set in ``context`` since it was copied to ``since``.

    :param but: variables that do not count.
    """
    for variable, value in context.items():
        if since.get(variable, _missing) is not value and variable not in but:
            return True
    return False


class ManagerContext:
    """The context in which a context manager is entered and exited, while its body has another.

    Each sees what the other has set, as if they were one. A token that the manager got in its
    ``__enter__`` can be reset in its ``__exit__``, because both run in the same context.

    :param context: the manager's. Nothing runs in it when the methods are called.
    :param but: a variable that is not shared.
    """

    def __init__(self, context: Context, *, but: ContextVar[Any] | None = None) -> None:
        self._context = context
        self._but = but
        self._tokens: dict[ContextVar[Any], Token[Any]] = {}
        self._before_exit = context

    def copy_to_body(self) -> None:
        """In the body's context: set what the manager set in ``__enter__``."""
        for variable, value in self._context.items():
            value = owned(value)
            if variable is not self._but and variable.get(_missing) is not value:
                self._tokens[variable] = variable.set(value)
        self._before_exit = self._context.copy()

    def copy_to_manager(self, body: Context) -> None:
        """On the manager's thread or loop, before ``__exit__``: set what ``body`` has set."""
        self._context.run(partial(adopt, body, but=self._but))
        self._before_exit = self._context.copy()

    def copy_after_exit(self) -> None:
        """In the body's context: set, and reset, what the manager did in ``__exit__``."""
        for variable, value in self._context.items():
            if variable is not self._but and self._before_exit.get(variable) is not value:
                variable.set(owned(value))
        for variable, token in self._tokens.items():
            if variable not in self._context:
                with suppress(ValueError):  # exited in another context than it was entered in
                    variable.reset(token)


class ContextOverlay:
    """Values of another context, set in the current one until :meth:`end`.

    Several may be active on a thread, and end in any order. One that ends below a later one hands
    its undo over to it: undone at once, the value would come back when the later one ends. A
    variable that other code has set in the meantime is left alone.

    :param since: the current context when the other one was copied from it.
    :param but: variables that are never set.
    """

    __slots__ = ("_but", "_since", "_steps")

    def __init__(self, since: Context, *, but: Container[object] = ()) -> None:
        self._since = since
        self._but = but
        self._steps: list[_Step] = []

    def apply(self, context: Context) -> None:
        """Set every variable in the current context that was set in ``context`` since the last
        call."""
        context, since = context.copy(), self._since
        self._since = context
        for variable, value in context.items():
            if variable in self._but or since.get(variable, _missing) is value:
                continue
            value = owned(value)
            if variable.get(_missing) is not value:
                self._steps.append(_Step(variable, value))

    def end(self, *, undo: bool = True) -> None:
        """Undo all of it, if this is the context in which it was set. On any thread.

        :param undo: False keeps the values: the context is not used again.
        """
        while self._steps:
            self._steps.pop().end(undo=undo)


class _Step:
    """One variable set to one value, on the current thread."""

    __slots__ = ("_order", "_token", "_values", "_variable")

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self._variable = variable
        self._values: tuple[Any, ...] = (
            value,
        )  # those that are undone; another one was set by other code
        self._token: Token[Any] = variable.set(value)
        self._order = _here.steps
        self._order.append(self)

    def end(self, *, undo: bool) -> None:
        order = self._order.copy()  # its own thread, or a finalizer, may change it meanwhile
        self._order.remove(self)
        index = order.index(self)
        if not undo or self._hand_undo_to(order[index + 1 :]):
            return
        if self._order is _here.steps:
            self._undo()
        else:  # on another thread: the value stays until an earlier step is undone
            self._hand_values_to(reversed(order[:index]))

    def _hand_undo_to(self, later: list[_Step]) -> bool:
        """Hand the undo over to the later step that would restore this value, if there is one."""
        for step in later:
            if step._variable is self._variable and self._has(step._token.old_value):
                step._token = self._token
                return True
        return False

    def _has(self, value: Any) -> bool:
        return any(value is own for own in self._values)

    def _hand_values_to(self, earlier: Iterable[_Step]) -> None:
        for step in earlier:
            if step._variable is self._variable:
                step._values += self._values
                return

    def _undo(self) -> None:
        if self._has(self._variable.get(_missing)):
            with suppress(ValueError):  # ended in another context, which never had it
                self._variable.reset(self._token)


class _Here(threading.local):
    """:ivar steps: the active steps of this thread, in their order."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []


_here = _Here()

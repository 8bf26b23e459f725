"""Coroutines that run on an event loop of the project's own, such as that of a bot's thread.

Input: a line of a module. Output: whether only such a loop runs the code there. The server's loop
is not affected by what blocks another one. Functions are matched by name.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from bridge.migrate.advice import serves_requests
from bridge.migrate.functions import function_of, is_test
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = ["runs_on_own_loop"]

_RUNNERS = ("run", "run_until_complete", "run_coroutine_threadsafe")
_OWNERS = ("asyncio.run", "anyio.run", "trio.run", "uvloop.run", "asyncio.run_coroutine_threadsafe")
_MAX_DEPTH = 6


def runs_on_own_loop(project: Project, module: Module, line: int) -> bool:
    """Whether the coroutine at a line is only run by ``asyncio.run()`` and the like."""
    function = _coroutine_at(module, line)
    return function is not None and _is_own(project, module, function, frozenset())


def _coroutine_at(module: Module, line: int) -> cst.FunctionDef | None:
    """The innermost ``async def`` around a line."""
    found: cst.FunctionDef | None = None
    for node in module.nodes(cst.FunctionDef):
        first = module.position(node)[0]
        last = module.line_of(module.span(node)[1])
        if node.asynchronous is not None and first <= line <= last:
            found = node
    return found


def _is_own(
    project: Project, module: Module, function: cst.FunctionDef, seen: frozenset[str]
) -> bool:
    name = function.name.value
    if name in seen:
        return True  # a call of itself; the other callers decide
    if serves_requests(module, function) or len(seen) == _MAX_DEPTH:
        return False
    uses = list(_uses(project, name))
    return bool(uses) and all(
        _is_run(caller, call)
        or (
            isinstance(around := function_of(caller, call), cst.FunctionDef)
            and around.asynchronous is not None
            and _is_own(project, caller, around, seen | {name})
        )
        for caller, call in uses
    )


def _uses(project: Project, name: str) -> Iterator[tuple[Module, cst.Call]]:
    """The calls of a function of this name, ``poll()`` or ``self.poll()``."""
    for caller in project.containing(name):
        for call in caller.nodes(cst.Call) if not is_test(caller) else ():
            func = call.func
            last = func.attr if isinstance(func, cst.Attribute) else func
            if isinstance(last, cst.Name) and last.value == name:
                yield caller, call


def _is_run(module: Module, call: cst.Call) -> bool:
    """Whether a coroutine is passed to something that runs it on a loop of its own."""
    argument = module.parent(call)
    outer = module.parent(argument) if isinstance(argument, cst.Arg) else None
    if not isinstance(outer, cst.Call):
        return False
    if module.qualified(outer) in _OWNERS:
        return True
    func = outer.func
    return isinstance(func, cst.Attribute) and func.attr.value in _RUNNERS

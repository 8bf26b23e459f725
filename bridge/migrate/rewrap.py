"""Calls of other libraries' adapters, and what they become with `bridge`.

What enters: the names of a class that adapts one interface to the other, and how its options are
called here. What leaves: each use of it in a module, with the fix that puts ours in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.findings import Edit, Fix
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.requirements import add_requirement

__all__ = ["Adapter", "uses_of"]


@dataclass(frozen=True)
class Adapter:
    """One class of another library.

    :ivar names: its dotted names, as it can be imported.
    :ivar ours: the name of ours in `bridge`.
    :ivar options: what its options are called here; empty for those that ours has no need of.
    :ivar positional: its parameters behind the app, in order.
    :ivar packages: what the other library is listed as, where a project lists what it needs.
    """

    names: tuple[str, ...]
    ours: str
    options: Mapping[str, str]
    positional: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def uses_of(
    module: Module, project: Project, adapter: Adapter
) -> Iterator[tuple[cst.CSTNode, Fix | None]]:
    """Each call of an adapter, with its fix; or what else is done with it, without."""
    calls = [each for each in module.nodes(cst.Call) if module.qualified(each) in adapter.names]
    fixed = {id(each.func): _arguments(module, each, adapter) for each in calls}
    others = [each for each in _references(module, adapter) if id(each) not in fixed]
    is_ignored = "bridge: ignore[A80" in module.text  # that use still needs the import
    can_replace = not others and not is_ignored and None not in fixed.values()
    needed = _requirement(project, adapter) if calls else ()
    for call in calls:
        arguments = fixed[id(call.func)]
        edits = () if arguments is None else _edits(module, call, adapter, arguments, can_replace)
        fix = Fix(f"Use bridge.{adapter.ours}", (*edits, *needed), safe=True) if edits else None
        yield call, fix
    for other in others:
        yield other, None


def _references(module: Module, adapter: Adapter) -> Iterator[cst.BaseExpression]:
    """Every use of its name, imports left out."""
    for kind in (cst.Name, cst.Attribute):
        for node in module.nodes(kind):
            if module.qualified(node) in adapter.names and not _is_part(module, node):
                yield node


def _is_part(module: Module, node: cst.CSTNode) -> bool:
    """Whether it is the last word of a dotted name, of an import, or of a keyword."""
    above = module.parent(node)
    if isinstance(above, cst.Attribute):
        return above.attr is node
    if isinstance(above, cst.Arg):
        return above.keyword is node
    return module.enclosing(node, cst.Import, cst.ImportFrom) is not None


def _arguments(module: Module, call: cst.Call, adapter: Adapter) -> tuple[Edit, ...] | None:
    """What makes its arguments those of ours; None if one of them has no counterpart.

    Each is changed where it stands, so that lines and comments stay.
    """
    edits: list[Edit] = []
    for position, each in enumerate(call.args):
        name = each.keyword.value if each.keyword else None
        if each.star:
            return None
        if position == 0 and name in (None, "app", "wsgi_application"):
            edits += _renamed(module, each, "")
            continue
        if name is None and position <= len(adapter.positional):
            name = adapter.positional[position - 1]
        if name is None or name not in adapter.options:
            return None
        if adapter.options[name]:
            edits += _renamed(module, each, adapter.options[name])
            continue
        gone = _without(module, call.args[position - 1], each) if position else None
        if gone is None:
            return None
        edits.append(gone)
    return tuple(edits) if call.args else None


def _renamed(module: Module, argument: cst.Arg, name: str) -> Iterator[Edit]:
    """The argument under another keyword; under none if ``name`` is empty."""
    start, _ = module.span(argument)
    end = start
    if argument.keyword is not None:
        equals = re.compile(r"\s*=\s*").match(module.text, module.span(argument.keyword)[1])
        end = equals.end() if equals else end
    wanted = f"{name}=" if name else ""
    if re.sub(r"\s", "", module.text[start:end]) != wanted:
        yield Edit(module.path, start, end, wanted)


def _without(module: Module, before: cst.Arg, argument: cst.Arg) -> Edit | None:
    """No such argument: its line goes, or what is between it and the one before.

    None where that has a comment, which may be about something else.
    """
    start, end = module.span(argument)
    first, last = module.line_of(start), module.line_of(end)
    head = module.text[module.line_start(first) : start]
    tail = module.text[end : module.line_start(last + 1)].partition("#")[0]
    if not head.strip() and tail.strip() in (",", ""):
        return module.delete_lines(first, last)
    _, gap = module.span(before)
    return None if "#" in module.text[gap:start] else Edit(module.path, gap, end, "")


def _requirement(project: Project, adapter: Adapter) -> tuple[Edit, ...]:
    """Without `bridge` on its lists, the changed project would not start where it is installed."""
    for package in adapter.packages:
        edits = add_requirement(project, "wsgi-asgi-bridge", beside=package)
        if edits:
            return edits
    return ()


def _edits(
    module: Module,
    call: cst.Call,
    adapter: Adapter,
    arguments: tuple[Edit, ...],
    can_replace: bool,
) -> tuple[Edit, ...]:
    ours = adapter.ours
    known = module.imports.get(ours, f"bridge.{ours}")
    if known != f"bridge.{ours}" and not (known in adapter.names and can_replace):
        return ()  # the name is taken
    edits: list[Edit] = []
    if module.source(call.func) != ours:
        edits.append(module.replace(call.func, ours))
    return (*edits, *arguments, *_imports(module, adapter, can_replace))


def _imports(module: Module, adapter: Adapter, can_replace: bool) -> tuple[Edit, ...]:
    """Ours, in place of the other where that has no other use."""
    statement = f"from bridge import {adapter.ours}"
    for node in module.nodes(cst.ImportFrom):
        if not isinstance(node.names, tuple | list) or module.enclosing(node, cst.FunctionDef):
            continue
        name = node.names[0].evaluated_alias or node.names[0].evaluated_name
        is_only = len(node.names) == 1 and module.imports.get(name) in adapter.names
        if is_only and can_replace:
            return (module.replace(node, statement),)
    return module.add_import(statement)

"""Replaces the adapters of other libraries by those of `bridge`.

Input: an adapter class of another library, and the `bridge` names of its options. Output: each use
of it in a module, with the fix that replaces it.
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
    """One adapter class of another library.

    :ivar names: the dotted names that it can be imported by.
    :ivar replacement: the name of its counterpart in `bridge`.
    :ivar options: its options and their `bridge` names; empty for an option to drop.
    :ivar positional: its parameters after the app, in order.
    :ivar packages: the names of the other library in requirements.
    """

    names: tuple[str, ...]
    replacement: str
    options: Mapping[str, str]
    positional: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def uses_of(
    module: Module, project: Project, adapter: Adapter
) -> Iterator[tuple[cst.CSTNode, Fix | None]]:
    """Each call of an adapter, with its fix; and each other use, without a fix."""
    calls = [each for each in module.nodes(cst.Call) if module.qualified(each) in adapter.names]
    fixed = {id(each.func): _arguments(module, each, adapter) for each in calls}
    others = [each for each in _references(module, adapter) if id(each) not in fixed]
    is_ignored = "bridge: ignore[A80" in module.text  # an ignored use still needs the import
    can_replace = not others and not is_ignored and None not in fixed.values()
    needed = _requirement(project, adapter) if calls else ()
    for call in calls:
        arguments = fixed[id(call.func)]
        edits = () if arguments is None else _edits(module, call, adapter, arguments, can_replace)
        description = f"Use bridge.{adapter.replacement}"
        yield call, Fix(description, (*edits, *needed), safe=True) if edits else None
    for other in others:
        yield other, None


def _references(module: Module, adapter: Adapter) -> Iterator[cst.BaseExpression]:
    """Every use of its name, except in imports."""
    for kind in (cst.Name, cst.Attribute):
        for node in module.nodes(kind):
            if module.qualified(node) in adapter.names and not _is_part(module, node):
                yield node


def _is_part(module: Module, node: cst.CSTNode) -> bool:
    """Whether it is part of an import, the attribute of a dotted name, or a keyword."""
    above = module.parent(node)
    if isinstance(above, cst.Attribute):
        return above.attr is node
    if isinstance(above, cst.Arg):
        return above.keyword is node
    return module.enclosing(node, cst.Import, cst.ImportFrom) is not None


def _arguments(module: Module, call: cst.Call, adapter: Adapter) -> tuple[Edit, ...] | None:
    """The edits that adapt its arguments; None if one of them has no counterpart.

    Each argument is changed in place, so that line breaks and comments are kept.
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
        removal = _removed(module, call.args[position - 1], each) if position else None
        if removal is None:
            return None
        edits.append(removal)
    return tuple(edits) if call.args else None


def _renamed(module: Module, argument: cst.Arg, name: str) -> Iterator[Edit]:
    """Rename the keyword of an argument; remove it if ``name`` is empty."""
    start, _ = module.span(argument)
    end = start
    if argument.keyword is not None:
        equals = re.compile(r"\s*=\s*").match(module.text, module.span(argument.keyword)[1])
        end = equals.end() if equals else end
    keyword = f"{name}=" if name else ""
    if re.sub(r"\s", "", module.text[start:end]) != keyword:
        yield Edit(module.path, start, end, keyword)


def _removed(module: Module, before: cst.Arg, argument: cst.Arg) -> Edit | None:
    """Remove an argument: its whole line, or the text from the argument before it.

    :returns: None if that text has a comment, which may belong to something else.
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
    """Add `bridge`: the changed project does not start without it."""
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
    name = adapter.replacement
    imported = module.imports.get(name, f"bridge.{name}")
    if imported != f"bridge.{name}" and not (imported in adapter.names and can_replace):
        return ()  # the name has another meaning in this module
    edits: list[Edit] = []
    if module.source(call.func) != name:
        edits.append(module.replace(call.func, name))
    return (*edits, *arguments, *_imports(module, adapter, can_replace))


def _imports(module: Module, adapter: Adapter, can_replace: bool) -> tuple[Edit, ...]:
    """Import the replacement, in place of the other adapter if that has no other use."""
    statement = f"from bridge import {adapter.replacement}"
    for node in module.nodes(cst.ImportFrom):
        if not isinstance(node.names, tuple | list) or module.enclosing(node, cst.FunctionDef):
            continue
        name = node.names[0].evaluated_alias or node.names[0].evaluated_name
        is_only = len(node.names) == 1 and module.imports.get(name) in adapter.names
        if is_only and can_replace:
            return (module.replace(node, statement),)
    return module.add_import(statement)

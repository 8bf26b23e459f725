"""A middleware of the project that is sync-only.

Under Django's own ASGI handler each request holds a thread from beginning to end: the middleware
runs in a thread, with everything outside of it, and hands everything inside of it back to the event
loop. With slow async views the threads run out as they do under WSGI, and the gain of async views
is lost.

Before::

    def timing(get_response):
        def middleware(request):
            started = time.perf_counter()
            response = get_response(request)
            response["X-Took"] = str(time.perf_counter() - started)
            return response

        return middleware

After::

    @sync_and_async_middleware
    def timing(get_response):
        if iscoroutinefunction(get_response):

            async def middleware(request):
                started = time.perf_counter()
                response = await get_response(request)
                response["X-Took"] = str(time.perf_counter() - started)
                return response

        else:

            def middleware(request):
                started = time.perf_counter()
                response = get_response(request)
                response["X-Took"] = str(time.perf_counter() - started)
                return response

        return middleware

The fix is offered for functions of this form, if the project has async views and the number of
hand-overs (M201) decreases. It is unsafe: blocking code in the middleware would then block the
event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.advice import has_async_code
from bridge.migrate.findings import Finding, Fix, Severity, Source
from bridge.migrate.hops import hops
from bridge.migrate.middleware import Entry, entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class SyncOnlyCustom(Rule):
    """See the module's docstring."""

    code = "M204"
    name = "middleware-sync-only"
    summary = "a sync-only middleware of the project holds a thread for the whole request"
    native = Severity.WARNING
    bridge = None
    sources = (Source.RUNTIME, Source.SOURCES)
    fix = "unsafe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return not has_async_code(project)

    def check_project(self, project: Project) -> Iterator[Finding]:
        found = entries(project)
        for entry in found:
            if entry.code is None or not entry.fact.is_used or not entry.fact.is_sync_only:
                continue
            module, node = entry.code
            saved = _saved(found, entry)
            yield self.at(
                module,
                node,
                "under Django's ASGI handler each request holds a thread while "
                f"{node.name.value} and everything inside of it runs: it is sync-only "
                f"({_gain(saved)})",
                "make it async-capable if async views matter; no change is needed if all views are "
                "sync",
                source=entry.source,
                fix=_fix(module, node) if saved > 0 and _has_async_view(project) else None,
            )


def _saved(found: list[Entry], entry: Entry) -> int:
    """How many hand-overs a request saves if this middleware can run async."""
    facts = [each.fact for each in found]
    changed = [
        replace(fact, async_capable=True, native_hooks=fact.hooks) if fact is entry.fact else fact
        for fact in facts
    ]
    return len(hops(facts, is_async_view=True)) - len(hops(changed, is_async_view=True))


def _gain(saved: int) -> str:
    if saved == 0:
        return "an async-capable one would need as many hand-overs to a thread"
    hand_overs = f"{abs(saved)} hand-over{'' if abs(saved) == 1 else 's'} to a thread"
    if saved > 0:
        return f"an async-capable one would save {hand_overs} for each request"
    return f"an async-capable one would cost {hand_overs} more, in other middleware"


def _has_async_view(project: Project) -> bool:
    return project.facts is not None and any(view.is_async for view in project.facts.views)


def _fix(module: Module, node: cst.ClassDef | cst.FunctionDef) -> Fix | None:
    inner = _inner(node) if isinstance(node, cst.FunctionDef) else None
    if inner is None or not isinstance(node, cst.FunctionDef):
        return None
    argument = node.params.params[0].name.value
    calls = [
        call
        for call in module.inside(inner, cst.Call)
        if isinstance(call.func, cst.Name) and call.func.value == argument
    ]
    nested = [*module.inside(inner, cst.FunctionDef), *module.inside(inner, cst.Lambda)]
    if not calls or nested:
        return None
    outer = module.indent_of(node)
    first, last = module.position(inner)[0], module.line_of(module.span(inner)[1])
    indented = _indent(module, inner, range(first, last + 1))
    awaited = _await_calls(module, inner, calls, indented)
    body = module.indent_of(inner)
    text = "\n".join(
        [
            *(f"{body}if iscoroutinefunction({argument}):", "", *awaited, ""),
            *(f"{body}else:", "", *indented, ""),
        ]
    )
    imports = (
        "from asgiref.sync import iscoroutinefunction\n"
        "from django.utils.decorators import sync_and_async_middleware"
    )
    edits = (
        *module.add_import(imports),
        module.insert_before(node, f"@sync_and_async_middleware\n{outer}"),
        module.delete_lines(first, last),
        module.insert_line(last + 1, text if not module.line(last + 1).strip() else f"{text}\n"),
    )
    return Fix(f"Make {node.name.value} async-capable", edits, safe=False)


def _inner(node: cst.FunctionDef) -> cst.FunctionDef | None:
    """The inner function of a factory that ends with a ``def`` and its ``return``."""
    body = node.body.body
    if node.decorators or len(node.params.params) != 1 or len(body) < 2:
        return None
    inner, end = body[-2], body[-1]
    if not isinstance(inner, cst.FunctionDef) or not isinstance(end, cst.SimpleStatementLine):
        return None
    last = end.body[0]
    is_returned = (
        isinstance(last, cst.Return)
        and isinstance(last.value, cst.Name)
        and last.value.value == inner.name.value
    )
    return inner if is_returned and not inner.decorators else None


def _indent(module: Module, inner: cst.FunctionDef, numbers: range) -> list[str]:
    """The lines with one more indent, except those that begin inside of a string."""
    strings = [*module.inside(inner, cst.SimpleString), *module.inside(inner, cst.FormattedString)]
    inside: set[int] = set()
    for start, end in map(module.span, strings):
        inside.update(range(module.line_of(start) + 1, module.line_of(end) + 1))
    unit = module.tree.default_indent
    return [
        unit + line if line.strip() and number not in inside else line
        for number, line in ((number, module.line(number)) for number in numbers)
    ]


def _await_calls(
    module: Module, inner: cst.FunctionDef, calls: list[cst.Call], lines: list[str]
) -> list[str]:
    """The lines with ``async def``, and with each of these calls awaited."""
    new = list(lines)
    first = module.position(inner)[0]
    for call in sorted(calls, key=module.position, reverse=True):
        line, column = module.position(call)
        text = new[line - first]
        at = column - 1 + len(text) - len(module.line(line))
        new[line - first] = f"{text[:at]}await {text[at:]}"
    new[0] = new[0].replace("def ", "async def ", 1)
    return new

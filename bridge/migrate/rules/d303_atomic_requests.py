"""``ATOMIC_REQUESTS`` with an async view.

Every request to the view is a 500, under every server: ``RuntimeError: You cannot use
ATOMIC_REQUESTS with async views``. Django cannot keep a transaction open around a view that it
awaits. Exclude the view from ``ATOMIC_REQUESTS``, and use ``atomic()`` where the view writes.

Before::

    async def dashboard(request):
        ...

After::

    @transaction.non_atomic_requests
    async def dashboard(request):
        ...

The fix is unsafe: the writes of the view are then no longer one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.classes import methods_of
from bridge.migrate.database import aliases
from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.rule import Rule
from bridge.migrate.text import CannotRead

if TYPE_CHECKING:
    from bridge.migrate.facts import ViewFact
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_OPT_OUT = "non_atomic_requests"
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
_ROUTES = ("django.urls.path", "django.urls.re_path", "django.conf.urls.url")
_HELP = (
    "decorate the view with transaction.non_atomic_requests, and use atomic() where the view writes"
)
Node = cst.ClassDef | cst.FunctionDef


class AtomicRequests(Rule):
    """See the module's docstring."""

    code = "D303"
    name = "atomic-requests-async-view"
    summary = "ATOMIC_REQUESTS with an async view: RuntimeError on every request"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.RUNTIME, Source.SOURCES)
    fix = "unsafe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        atomic = [name for name, each in aliases(project).items() if each.get("ATOMIC_REQUESTS")]
        if not atomic:
            return
        source = Source.RUNTIME if project.facts is not None else Source.SOURCES
        views = (
            _introspected_views(project, atomic)
            if project.facts is not None
            else _views_in_sources(project)
        )
        for module, node in {id(each[1]): each for each in views}.values():
            if _OPT_OUT in " ".join(module.source(each) for each in node.decorators):
                continue
            message = _message(node.name.value, atomic)
            fix = _fix(module, node, atomic)
            yield self.at(module, node, message, _HELP, source=source, fix=fix)
        for view in _unresolved_views(project, atomic):
            yield self.at_line(
                Path(view.file),
                view.line,
                _message(view.name, atomic),
                _HELP,
                line_text=project.lines(Path(view.file))[view.line - 1],
                source=source,
            )


def _message(name: str, atomic: list[str]) -> str:
    return (
        f"every request to {name} raises RuntimeError: the view is async, and ATOMIC_REQUESTS is "
        f"set for the database {atomic[0]!r}"
    )


def _introspected_views(project: Project, atomic: list[str]) -> Iterator[tuple[Module, Node]]:
    """The definitions of the project's own async views, as the URLconf lists them."""
    exempt = _exempt_views(project)
    for view in _async_views(project, atomic):
        found = _definition(project, view)
        if found is None or view.name in exempt:
            continue
        module, node = found
        if f"{module.name}.{node.name.value}" not in exempt:
            yield found


def _unresolved_views(project: Project, atomic: list[str]) -> Iterator[ViewFact]:
    """The project's own async views whose definition is not found: made in a function, say."""
    exempt = _exempt_views(project)
    views = {(view.file, view.line): view for view in _async_views(project, atomic)}
    for view in views.values():
        is_own = view.line > 0 and project.module_at(view.file) is not None
        if is_own and view.name not in exempt and _definition(project, view) is None:
            yield view


def _async_views(project: Project, atomic: list[str]) -> list[ViewFact]:
    """The async views of the URLconf, except those that opt out of all these databases."""
    views = project.facts.views if project.facts is not None else ()
    return [view for view in views if view.is_async and not set(atomic) <= set(view.non_atomic)]


def _definition(project: Project, view: ViewFact) -> tuple[Module, Node] | None:
    """Searched by file first: a module imported through ``sys.path`` has another name there."""
    if "<locals>" in view.name:
        return None
    by_file = project.defined_in(view.file, view.name.rpartition(".")[2]) if view.file else None
    return by_file or project.find(view.name)


def _views_in_sources(project: Project) -> Iterator[tuple[Module, Node]]:
    """Without introspection: the async views named in calls of ``path(...)``."""
    for module in project.containing("urlpatterns"):
        for call in module.nodes(cst.Call):
            if module.qualified(call) in _ROUTES and len(call.args) > 1:
                found = _find_view(project, module, call.args[1].value)
                if found is not None and _is_async(found[1]):
                    yield found


def _find_view(
    project: Project, module: Module, view: cst.BaseExpression
) -> tuple[Module, Node] | None:
    name = module.qualified(view) or ""
    if isinstance(view, cst.Call) and not name.endswith(".as_view"):
        return None  # wrapped in something that may have made it sync
    name = name.removesuffix(".as_view")
    return project.find(name) or project.find(f"{module.name}.{name}")


def _is_async(node: Node) -> bool:
    if isinstance(node, cst.FunctionDef):
        return node.asynchronous is not None and not node.decorators
    own = [each for each in methods_of(node) if each.name.value in _METHODS]
    return bool(own) and all(each.asynchronous is not None for each in own)


def _exempt_views(project: Project) -> set[str]:
    """The names of views that the URLconf exempts: ``path("", non_atomic_requests(view))``."""
    found: set[str] = set()
    for module in project.containing(_OPT_OUT):
        try:
            calls = module.nodes(cst.Call)
        except CannotRead:
            continue
        for call in calls:
            if (module.qualified(call) or "").endswith(_OPT_OUT):
                names = [module.qualified(each.value) or "" for each in call.args]
                found |= {name.removesuffix(".as_view") for name in names}
                found |= {f"{module.name}.{name}" for name in names}
    return found


def _fix(module: Module, node: Node, atomic: list[str]) -> Fix:
    """One decorator for each database, above all others. The default one needs no ``using``."""
    first = node.decorators[0] if node.decorators else node
    indent = module.indent_of(first)
    opt_outs = [_opt_out(alias) for alias in atomic]
    imports: tuple[Edit, ...] = module.add_import("from django.db import transaction")
    if isinstance(node, cst.ClassDef):
        opt_outs = [f'method_decorator({each}, name="dispatch")' for each in opt_outs]
        imports += module.add_import("from django.utils.decorators import method_decorator")
        imports = _merged(imports)
    line, _ = module.position(first)
    edit = module.insert_line(line, "".join(f"{indent}@{each}\n" for each in opt_outs))
    return Fix(f"Decorate the view with {_OPT_OUT}", (edit, *imports), safe=False)


def _opt_out(alias: str) -> str:
    return f"transaction.{_OPT_OUT}" + ("" if alias == "default" else f'(using="{alias}")')


def _merged(edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Merge two insertions at the same offset into one."""
    if len(edits) < 2 or edits[0].start != edits[1].start:
        return edits
    text = edits[0].text.rstrip("\n") + "\n" + edits[1].text
    return (Edit(edits[0].path, edits[0].start, edits[0].end, text),)

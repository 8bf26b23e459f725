"""``request.user`` evaluated in an async view.

Every request with a session is a 500, under every server: ``SynchronousOnlyOperation``. Django
loads the user from the session and the database on first use, and refuses to do so on the event
loop. ``await request.auser()`` (Django 5.0) loads it without blocking.

Before::

    async def dashboard(request):
        if not request.user.is_authenticated:
            return redirect("login")

After::

    async def dashboard(request):
        if not (await request.auser()).is_authenticated:
            return redirect("login")

``auser()`` returns the user of the session: where middleware other than Django's sets
``request.user``, the finding is a warning without a fix. Django's ``LoginRequiredMiddleware`` has
loaded the user before the view is called, so behind it only ``login_not_required`` views are
checked. The fix is unsafe if the project has middleware that could not be probed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.classes import derives_from
from bridge.migrate.findings import Finding, Fix, Severity
from bridge.migrate.functions import (
    assigned_values,
    coroutine_of,
    function_of,
    imports_any,
    in_comprehension,
    is_request,
    is_test,
)
from bridge.migrate.middleware import NOT_PROBED, entries
from bridge.migrate.rule import Rule
from bridge.migrate.text import CannotRead
from bridge.migrate.versions import django_is_at_least

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_OTHER_FRAMEWORKS = (
    *("rest_framework", "adrf", "ninja", "ninja_extra", "ninja_jwt", "dmr", "tastypie"),
    *("fastapi", "starlette", "quart", "sanic"),
)
_EVALUATES = ("str", "int", "bool", "hash", "isinstance", "hasattr", "getattr")
_FILTER_METHODS = ("filter", "exclude")
_SETS_USER = re.compile(r"\breq(?:uest)?\.user\s*=(?!=)\s*(?P<lazy>SimpleLazyObject)?")
_LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
_EXEMPT = "login_not_required"
_IN_A_THREAD = "evaluate it in a thread: await sync_to_async(lambda: request.user.is_staff)()"


class RequestUser(Rule):
    """See the module's docstring."""

    code = "V408"
    name = "request-user-in-async"
    summary = "request.user in an async view: SynchronousOnlyOperation"
    native = Severity.ERROR
    bridge = Severity.ERROR
    fix = "safe"
    triggers = (".user",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        if is_test(module) or not imports_any(module, "django"):
            return
        if imports_any(module, *_OTHER_FRAMEWORKS):
            return  # these frameworks load the user themselves
        found = [node for node in module.nodes(cst.Attribute) if _is_evaluated(module, node)]
        if found and _is_login_required(project):
            found = [node for node in found if _is_exempt(module, node)]
        if not found or _is_set_eagerly(project):
            return
        has_auser = django_is_at_least(project, 5)
        setter = _setter(project)
        for node in found:
            if setter is not None:
                yield self._set_elsewhere(module, node, setter)
                continue
            yield self.at(
                module,
                node,
                "this raises SynchronousOnlyOperation, a 500 for users who are logged in: "
                "request.user is loaded from the database on first use, here on the event loop",
                "use await request.auser()" if has_auser else "update to Django 5.0 for auser()",
                fix=_fix(project, module, node) if has_auser else None,
            )

    def _set_elsewhere(self, module: Module, node: cst.Attribute, setter: str) -> Finding:
        return self.at(
            module,
            node,
            "this raises SynchronousOnlyOperation if request.user is loaded from the database on "
            f"first use: {setter} sets it, and auser() may return another user",
            _IN_A_THREAD,
            severity=(Severity.WARNING, Severity.WARNING),
        )


def _is_evaluated(module: Module, node: cst.Attribute) -> bool:
    """Whether a node is ``request.user``, and async code needs its value."""
    if node.attr.value != "user" or not is_request(module, node.value):
        return False
    if isinstance(node.value, cst.Attribute) and not _is_in_view(module, node):
        return False
    function = coroutine_of(module, node)
    if function is None:
        return False
    return _needs_value(module, node) or _is_used_later(module, function, node)


def _is_in_view(module: Module, node: cst.CSTNode) -> bool:
    """Whether ``self`` is a Django view, by the names of its base classes."""
    cls = module.enclosing(node, cst.ClassDef)
    names = module.base_names(cls) if isinstance(cls, cst.ClassDef) else []
    return any(name.endswith(("View", "Mixin")) for name in names)


def _needs_value(module: Module, node: cst.CSTNode) -> bool:
    above = module.parent(node)
    match above:
        case cst.Attribute() | cst.Subscript():
            return above.value is node
        case cst.If() | cst.While() | cst.IfExp():
            return above.test is node
        case cst.UnaryOperation() | cst.BooleanOperation() | cst.FormattedStringExpression():
            return True
        case cst.Comparison():
            return not _is_identity(above)
        case cst.ComparisonTarget():
            return not isinstance(above.operator, cst.Is | cst.IsNot)
        case cst.Arg():
            return _call_evaluates(module, module.parent(above))
        case _:
            return False


def _is_identity(node: cst.Comparison) -> bool:
    return all(isinstance(each.operator, cst.Is | cst.IsNot) for each in node.comparisons)


def _call_evaluates(module: Module, call: cst.CSTNode | None) -> bool:
    """Whether a call evaluates its arguments at once, on this thread."""
    match call:
        case cst.Call(func=cst.Name(value=name)):
            return name in _EVALUATES
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))):
            return name in _FILTER_METHODS and ".objects" in module.source(owner)
        case _:
            return False


def _is_used_later(module: Module, function: cst.FunctionDef, node: cst.Attribute) -> bool:
    """Whether it is assigned to a name whose value is needed later."""
    target = module.parent(node)
    if not isinstance(target, cst.Assign) or len(target.targets) != 1:
        return False
    name = target.targets[0].target
    if not isinstance(name, cst.Name):
        return False
    if len(assigned_values(module, function, name.value) or ()) != 1:
        return False
    return any(
        each.value == name.value
        and function_of(module, each) is function
        and _needs_value(module, each)
        for each in module.nodes(cst.Name)
    )


def _is_set_eagerly(project: Project) -> bool:
    """Whether the project sets ``request.user`` to a user that is not lazy."""
    return any(found["lazy"] is None for _, found in _assignments(project))


def _setter(project: Project) -> str | None:
    """The module or middleware that sets ``request.user`` in place of Django."""
    own = next((project.shown(module.path) for module, _ in _assignments(project)), None)
    if own is not None:
        return own
    facts = (each.fact for each in entries(project) if each.code is None)
    others = (each.path for each in facts if each.sets_user)
    return next((path for path in others if not path.startswith("django.")), None)


def _assignments(project: Project) -> Iterator[tuple[Module, re.Match[str]]]:
    """The assignments of ``request.user`` in the project, except in tests."""
    for module in project.modules:
        try:
            text = "" if is_test(module) else module.text
        except CannotRead:
            continue  # reported when the file itself is checked
        yield from ((module, found) for found in _SETS_USER.finditer(text))


def _is_login_required(project: Project) -> bool:
    """Whether LoginRequiredMiddleware has loaded the user before a view is called."""
    calls = (
        module.qualified(call) or ""
        for module in project.containing(_EXEMPT)
        for call in module.nodes(cst.Call)
    )
    if any(name.endswith(_EXEMPT) for name in calls):
        return False  # the URLconf exempts views, and this rule does not know which
    return any(
        each.fact.path == _LOGIN_REQUIRED
        or (
            each.code is not None
            and isinstance(each.code[1], cst.ClassDef)
            and derives_from(project, each.code[0], each.code[1], _LOGIN_REQUIRED)
        )
        for each in entries(project)
    )


def _is_exempt(module: Module, node: cst.Attribute) -> bool:
    """Whether the view or its class is decorated with ``login_not_required``."""
    around = (
        each for each in module.ancestors(node) if isinstance(each, cst.FunctionDef | cst.ClassDef)
    )
    return any(_EXEMPT in module.source(mark) for each in around for mark in each.decorators)


def _is_all_probed(project: Project) -> bool:
    """Whether all middleware was probed for assignments of the user."""
    return all(each.fact.error != NOT_PROBED for each in entries(project))


def _fix(project: Project, module: Module, node: cst.Attribute) -> Fix | None:
    if in_comprehension(module, node):
        return None
    text = f"await {module.source(node.value)}.auser()"
    above = module.parent(node)
    binds_tighter = isinstance(above, cst.Attribute | cst.Subscript) and not node.lpar
    edit = module.replace(node, f"({text})" if binds_tighter else text)
    return Fix("Await request.auser()", (edit,), safe=_is_all_probed(project))

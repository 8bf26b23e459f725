"""The application is made before ``DJANGO_SETTINGS_MODULE`` is set.

``get_asgi_application()`` reads the settings. Under a server that nobody told the settings module,
the import of the module fails: ImproperlyConfigured. Where the variable happens to be set in the
environment, it works, until it is not.

Before::

    application = get_asgi_application()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

After::

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    application = get_asgi_application()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import Assignment

from bridge.migrate.entry_points import application_calls, statement_of
from bridge.migrate.findings import Edit, Finding, Fix, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_VARIABLE = "DJANGO_SETTINGS_MODULE"


class SettingsTooLate(Rule):
    """See the module's docstring."""

    code = "E102"
    name = "settings-after-application"
    summary = "the application is made before DJANGO_SETTINGS_MODULE is set"
    native = Severity.ERROR
    bridge = Severity.ERROR
    fix = "safe"
    triggers = ("get_asgi_application", "get_wsgi_application")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        calls = application_calls(module)
        setting = _setting(module)
        if not calls or setting is None:
            return
        made, told = statement_of(module, calls[0]), statement_of(module, setting)
        if module.position(made) < module.position(told):
            yield self.at(
                module,
                made,
                f"the application is made before {_VARIABLE} is set: the settings cannot be found "
                "unless the environment has it already",
                "set the variable first",
                fix=_fix(module, made, told),
            )


def _setting(module: Module) -> cst.CSTNode | None:
    """What sets the variable in ``os.environ``, at the top level."""
    found: list[cst.CSTNode] = [
        call
        for call in module.nodes(cst.Call)
        if module.qualified(call) == "os.environ.setdefault" and _VARIABLE in module.source(call)
    ]
    for node in module.nodes(cst.Assign):
        target = node.targets[0].target
        if isinstance(target, cst.Subscript) and _VARIABLE in module.source(target):
            found.append(node)
    top = (each for each in found if module.enclosing(each, cst.FunctionDef) is None)
    return next(top, None)


def _fix(module: Module, made: cst.CSTNode, told: cst.CSTNode) -> Fix | None:
    if not isinstance(told, cst.SimpleStatementLine) or not isinstance(
        made, cst.SimpleStatementLine
    ):
        return None
    names = _names(module, told)
    needs_os = "os" in names and not _is_bound(module, "os", made, told)
    if not all(_is_bound(module, name, made, told) for name in names - {"os"}):
        return None
    first, last = module.position(told)[0], module.line_of(module.span(told)[1])
    at = module.position(made)[0]
    text = "".join(f"{module.line(number)}\n" for number in range(first, last + 1))
    edits: list[Edit] = [
        module.insert_line(at, ("import os\n\n" if needs_os else "") + text),
        module.delete_lines(first, last),
    ]
    return Fix(f"Set {_VARIABLE} before the application is made", tuple(edits), safe=True)


def _names(module: Module, statement: cst.CSTNode) -> set[str]:
    """The names that a statement looks up."""
    found: set[str] = set()
    for name in module.inside(statement, cst.Name):
        above = module.parent(name)
        is_attribute = isinstance(above, cst.Attribute) and above.attr is name
        if not is_attribute and not (isinstance(above, cst.Arg) and above.keyword is name):
            found.add(name.value)
    return found


def _is_bound(module: Module, name: str, made: cst.CSTNode, told: cst.CSTNode) -> bool:
    """Whether a name means the same in front of one statement as it does at a later one."""
    bound = [
        module.position(each.node)
        for each in module.scopes[told][name]
        if isinstance(each, Assignment)
    ]
    first, last = module.position(made), module.position(told)
    if not bound:
        return True  # Python's own
    return any(each < first for each in bound) and not any(first <= each < last for each in bound)

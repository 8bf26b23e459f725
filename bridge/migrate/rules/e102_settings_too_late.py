"""The application is made before ``DJANGO_SETTINGS_MODULE`` is set.

Importing the module fails with ImproperlyConfigured: ``get_asgi_application()`` reads the settings.
It works only where the environment of the server already sets the variable.

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
        found = _setting(module)
        if not calls or found is None:
            return
        application, setting = statement_of(module, calls[0]), statement_of(module, found)
        if module.position(application) < module.position(setting):
            yield self.at(
                module,
                application,
                f"importing this module fails unless the environment sets {_VARIABLE}: the "
                "application is made before the line that sets it",
                f"set {_VARIABLE} above this line",
                fix=_fix(module, application, setting),
            )


def _setting(module: Module) -> cst.CSTNode | None:
    """The top-level call or assignment that sets the variable in ``os.environ``."""
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


def _fix(module: Module, application: cst.CSTNode, setting: cst.CSTNode) -> Fix | None:
    if not isinstance(setting, cst.SimpleStatementLine) or not isinstance(
        application, cst.SimpleStatementLine
    ):
        return None
    names = _names(module, setting)
    needs_os = "os" in names and not _has_same_value(module, "os", application, setting)
    if not all(_has_same_value(module, name, application, setting) for name in names - {"os"}):
        return None
    first, last = module.position(setting)[0], module.line_of(module.span(setting)[1])
    at = module.position(application)[0]
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


def _has_same_value(
    module: Module, name: str, application: cst.CSTNode, setting: cst.CSTNode
) -> bool:
    """Whether a name has the same value before the application is made as at the setting."""
    bound = [
        module.position(each.node)
        for each in module.scopes[setting][name]
        if isinstance(each, Assignment)
    ]
    first, last = module.position(application), module.position(setting)
    if not bound:
        return True  # a builtin
    return any(each < first for each in bound) and not any(first <= each < last for each in bound)

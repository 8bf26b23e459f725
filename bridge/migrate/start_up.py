"""Code that runs once in each process of a server, before its first request.

Input: a project. Output: which code starts it: the import of a module that the server imports, an
app factory, or ``AppConfig.ready()``; and what it starts there that goes on by itself.

A function counts if one of these calls it, directly or through others of the project. Tests,
scripts and management commands do not: no server imports them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.classes import derives_from, find_class
from bridge.migrate.functions import assigned_values, calls_of, function_of, is_test
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = ["Started", "started_in_each_process"]

_MAX_DEPTH = 4
_TEXTS = (
    *("threading", "multiprocessing", "apscheduler", "APScheduler", "signal.signal"),
    *("start_new_thread", "from signal import"),
)
_KINDS = {
    "threading.Thread": "thread",
    "threading.Timer": "timer",
    "multiprocessing.Process": "process",
    "multiprocessing.context.Process": "process",
    "flask_apscheduler.APScheduler": "scheduler",
}
_THREAD_CALLS = ("_thread.start_new_thread",)
_SIGNAL_CALLS = ("signal.signal",)
_FACTORY_NAMES = ("create_app", "make_app", "build_app", "app_factory", "get_app")
_APP_NAMES = ("app", "application")
_ALWAYS_IMPORTED = frozenset(
    {"apps", "models", "settings", "urls", "wsgi", "asgi", "app", "main", "application", "__init__"}
)
_NOT_SERVED = frozenset({"manage", "setup", "celery", "celeryconfig", "fabfile", "tasks"})


@dataclass(frozen=True)
class Started:
    """Something that goes on by itself.

    :ivar call: that starts it.
    :ivar kind: ``thread``, ``timer``, ``process``, ``scheduler`` or ``signal handler``.
    :ivar signal: the name of the signal, as written, for a handler.
    :ivar when: as text: "shop.jobs is imported", "create_app() runs".
    """

    module: Module
    call: cst.Call
    kind: str
    signal: str
    when: str


def started_in_each_process(project: Project) -> Iterator[Started]:
    """What the project starts when a process of its server starts."""
    for module in project.containing(*_TEXTS):
        if is_test(module) or not _is_served(module):
            continue
        for call in module.nodes(cst.Call):
            kind = _kind_of(module, project, call)
            when = kind and _when(module, project, call, _MAX_DEPTH)
            if kind and when:
                signal = ""
                if kind == "signal handler" and call.args:
                    signal = module.source(call.args[0].value).rpartition(".")[2]
                yield Started(module, call, kind, signal, when)


# -- what --------------------------------------------------------------------------------------


def _kind_of(module: Module, project: Project, call: cst.Call) -> str | None:
    name = module.qualified(call)
    if name in _SIGNAL_CALLS:
        return "signal handler"
    if name in _THREAD_CALLS:
        return "thread"
    match call:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="start"))):
            made = _made(module, owner)
            return None if made is None else _kind_of_class(module, project, made)
        case _:
            return None


def _made(module: Module, owner: cst.BaseExpression) -> cst.Call | None:
    """The call that makes the object which is started."""
    if isinstance(owner, cst.Call):
        return owner
    if not isinstance(owner, cst.Name):
        return None
    function = function_of(module, owner)
    values = assigned_values(module, function, owner.value) if function else None
    values = values or _at_module_level(module, owner.value)
    return values[0] if len(values) == 1 and isinstance(values[0], cst.Call) else None


def _at_module_level(module: Module, name: str) -> list[cst.BaseExpression]:
    return [
        node.value
        for node in module.nodes(cst.Assign)
        for each in node.targets
        if isinstance(each.target, cst.Name)
        and each.target.value == name
        and module.enclosing(node, cst.FunctionDef, cst.ClassDef) is None
    ]


def _kind_of_class(module: Module, project: Project, made: cst.Call) -> str | None:
    name = module.qualified(made) or ""
    if name.startswith("apscheduler.schedulers."):
        return "scheduler"
    if name in _KINDS:
        return _KINDS[name]
    found = find_class(project, module, name) if name else None
    if found is None:
        return None
    return next(
        (kind for each, kind in _KINDS.items() if derives_from(project, *found, each)), None
    )


# -- when --------------------------------------------------------------------------------------


def _when(module: Module, project: Project, node: cst.CSTNode, depth: int) -> str | None:
    """What runs a node at start-up; None if only a request or a script does."""
    function = function_of(module, node)
    if function is None:
        is_import = not _is_main(module, node) and _is_imported(module, project)
        return f"{module.name} is imported" if is_import else None
    if not isinstance(function, cst.FunctionDef) or not depth:
        return None
    name = function.name.value
    cls = module.enclosing(function, cst.ClassDef)
    if isinstance(cls, cst.ClassDef):
        if name == "ready" and any(each.endswith("AppConfig") for each in module.base_names(cls)):
            return f"{cls.name.value}.ready() runs"
        calls = _calls_of_method(module, cls, name)
        return next(filter(None, (_when(module, project, each, depth - 1) for each in calls)), None)
    if _is_factory(module, function):
        return f"{name}() runs"
    found = (
        _when(caller, project, call, depth - 1)
        for caller, call in calls_of(module, project, name)
        if _is_served(caller)
    )
    return next(filter(None, found), None)


def _is_main(module: Module, node: cst.CSTNode) -> bool:
    """Whether it is inside of ``if __name__ == "__main__":``."""
    return any(
        isinstance(above, cst.If) and "__name__" in module.source(above.test)
        for above in module.ancestors(node)
    )


def _is_served(module: Module) -> bool:
    """Whether a server may import a module."""
    parts = module.name.split(".")
    return "commands" not in parts and parts[-1] not in _NOT_SERVED


def _is_imported(module: Module, project: Project) -> bool:
    """Whether another module of the project imports it, or a framework or a start command does."""
    name = module.name.rpartition(".")[2]
    if module.is_package or name in _ALWAYS_IMPORTED:
        return True
    targets = (command.target or "" for command in project.deploy.commands)
    if any(target.partition(":")[0] == module.name for target in targets):
        return True
    statement = rf"^[ \t]*(?:import|from)\b[^\n#]*\b{re.escape(name)}\b"
    call = rf"import_module\([\"'][\w.]*\b{re.escape(name)}\b"
    pattern = re.compile(f"{statement}|{call}", re.MULTILINE)
    others = (each for each in project.containing(name) if each is not module)
    return any(
        _is_served(each) and not is_test(each) and pattern.search(each.text) for each in others
    )


def _is_factory(module: Module, function: cst.FunctionDef) -> bool:
    """Whether it makes an app: by its name, because it calls ``Flask(...)``, or returns ``app``."""
    if function.name.value in _FACTORY_NAMES:
        return True
    for each in module.inside(function, cst.Return):
        if isinstance(each.value, cst.Name) and each.value.value in _APP_NAMES:
            return True
    calls = module.inside(function, cst.Call)
    return any(module.qualified(each) in ("flask.Flask", "flask.app.Flask") for each in calls)


def _calls_of_method(module: Module, cls: cst.ClassDef, name: str) -> list[cst.Call]:
    """The calls ``self.begin()`` in a class."""
    return [
        call for call in module.inside(cls, cst.Call) if module.qualified(call) == f"self.{name}"
    ]

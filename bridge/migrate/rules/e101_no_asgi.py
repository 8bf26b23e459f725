"""No module of the project makes an ASGI application.

An ASGI server has nothing to import, so it cannot serve the project. The fix writes an ``asgi.py``
that makes the application as ``wsgi.py`` does. All other lines of that file are kept, such as those
that load a ``.env`` file or set up tracing. With ``--target bridge`` the fix also adds `bridge` to
the requirements.

Before::

    # mysite/wsgi.py, and no mysite/asgi.py
    import os
    from django.core.wsgi import get_wsgi_application

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    application = get_wsgi_application()

After::

    # mysite/asgi.py, for --target native; bridge.contrib.django for --target bridge
    import os
    from django.core.asgi import get_asgi_application

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    application = get_asgi_application()

Where ``wsgi.py`` does more with its application, such as wrapping it in WSGI middleware (E104), the
fix for ``--target bridge`` writes an ``asgi.py`` that runs the application of ``wsgi.py``. For
``native``, write ``asgi.py`` by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.capacity import planned_threads
from bridge.migrate.entry_points import plain_factory_call, served_name, wsgi_modules
from bridge.migrate.findings import Edit, Finding, Fix, NewFile, Severity, Source, Target
from bridge.migrate.functions import is_test
from bridge.migrate.imports import is_docstring
from bridge.migrate.rule import Rule
from bridge.migrate.text import CannotRead
from bridge.migrate.web_app import bridge_requirement

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_MODULES = {Target.NATIVE: "django.core.asgi", Target.BRIDGE: "bridge.contrib.django"}
_CONFIGURATIONS = "configurations.wsgi"
_CODING = re.compile(r"\A((?:[ \t\f]*(?:#.*)?\n)?)[ \t\f]*#.*?coding[:=].*\n")  # the copy is UTF-8


class NoAsgi(Rule):
    """See the module's docstring."""

    code = "E101"
    name = "no-asgi-module"
    summary = "no module makes an ASGI application"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.SOURCES,)
    fix = "safe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        if not project.is_django or _has_asgi(project):
            return
        wsgi = next(iter(wsgi_modules(project)), None) or _named_wsgi(project)
        path = _package(project, wsgi) / "asgi.py"
        if project.exists(path):
            return  # it makes its application in a way that _has_asgi does not recognise
        where = project.base if wsgi is None else wsgi.path
        yield self.at_line(
            where,
            0 if wsgi is None else 1,
            f"an ASGI server has nothing to run: there is no {project.shown(path)}, and no "
            "other module makes an ASGI application",
            "write it, based on wsgi.py",
            source=Source.SOURCES,
            line_text="" if wsgi is None else wsgi.line(1),
            fix=_fix(project, wsgi, path),
        )


def _has_asgi(project: Project) -> bool:
    names = ("get_asgi_application", "ProtocolTypeRouter", "to_asgi", "WsgiToAsgi", "ASGIHandler")
    return next(project.containing(*names), None) is not None


def _named_wsgi(project: Project) -> Module | None:
    """A ``wsgi.py`` that imports its application, or makes it in a function."""
    named = (each for each in project.modules if each.name.rpartition(".")[2] == "wsgi")
    return next((each for each in named if not is_test(each)), None)


def _package(project: Project, wsgi: Module | None) -> Path:
    """The folder of ``wsgi.py``, else that of the settings."""
    if wsgi is not None:
        return wsgi.path.parent
    name = project.settings_module or ""
    module = project.module(name)
    folder = project.base / name.partition(".")[0] if module is None else module.path.parent
    return folder.parent if folder.name == "settings" else folder


def _fix(project: Project, wsgi: Module | None, path: Path) -> Fix | None:
    try:
        text = _new_text(project) if wsgi is None else _from_wsgi(project, wsgi)
    except CannotRead:
        return None
    if text is None:
        return None
    edits: tuple[Edit | NewFile, ...] = (NewFile(path, text),)
    if project.target is Target.BRIDGE:
        edits += bridge_requirement(project)
    return Fix(f"Create {project.shown(path)}", edits, safe=True)


def _new_text(project: Project) -> str | None:
    if next(project.containing("DJANGO_CONFIGURATION"), None) is not None:
        return None  # django-configurations must be set up first
    return (
        '"""The ASGI application."""\n\nimport os\n\n'
        f"from {_MODULES[project.target]} import get_asgi_application\n\n"
        f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{project.settings_module}")\n\n'
        f"application = get_asgi_application({_threads_argument(project)})\n"
    )


def _threads_argument(project: Project) -> str:
    threads = planned_threads(project)
    return "" if threads is None else f"threads={threads}"


def _from_wsgi(project: Project, wsgi: Module) -> str | None:
    made = plain_factory_call(wsgi)
    imported = _import_of(wsgi)
    if made is not None and imported is not None:
        return _copy(project, wsgi, imported, made)
    return _wrap(wsgi) if project.target is Target.BRIDGE else None


def _import_of(wsgi: Module) -> cst.ImportFrom | None:
    """The top-level line ``from django.core.wsgi import get_wsgi_application``."""
    for node in wsgi.nodes(cst.ImportFrom):
        module = wsgi.source(node.module) if node.module is not None else ""
        if module in ("django.core.wsgi", _CONFIGURATIONS) and _is_only_import(wsgi, node):
            return node
    return None


def _is_only_import(wsgi: Module, node: cst.ImportFrom) -> bool:
    line = wsgi.parent(node)
    if not isinstance(line, cst.SimpleStatementLine) or wsgi.parent(line) is not wsgi.tree:
        return False
    return len(line.body) == 1 and len(_aliases(node)) == 1


def _aliases(node: cst.ImportFrom) -> Sequence[cst.ImportAlias]:
    return () if isinstance(node.names, cst.ImportStar) else node.names


def _copy(project: Project, wsgi: Module, imported: cst.ImportFrom, made: cst.Call) -> str:
    """The text of ``wsgi.py`` with the ASGI factory, and ASGI for WSGI in its docstring.

    Its default settings are those of the deployment, if a deploy file names them.
    """
    edits = [wsgi.replace(imported, _asgi_import(wsgi, project.target, imported))]
    edits += _deployed_settings(project, wsgi)
    edits += (
        wsgi.replace(name, "get_asgi_application")
        for name in wsgi.nodes(cst.Name)
        if name.value == "get_wsgi_application" and wsgi.enclosing(name, cst.ImportFrom) is None
    )
    if wsgi.tree.body and is_docstring(wsgi.tree.body[0]):
        docstring = wsgi.source(wsgi.tree.body[0])
        docstring = docstring.replace("WSGI", "ASGI").replace("/wsgi/", "/asgi/")
        edits.append(wsgi.replace(wsgi.tree.body[0], docstring))
    text = wsgi.text
    threads = planned_threads(project)
    if threads is not None:
        end = wsgi.replace(made, "").end
        edits.append(replace(wsgi.replace(made, f"threads={threads}"), start=end - 1, end=end - 1))
    for edit in sorted(edits, key=lambda each: each.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return _CODING.sub(r"\1", text.replace("\r\n", "\n").replace("\r", "\n"))


def _deployed_settings(project: Project, wsgi: Module) -> Iterator[Edit]:
    places = project.settings_places
    for call in wsgi.nodes(cst.Call) if places else ():
        match call.args:
            case [
                cst.Arg(value=cst.SimpleString() as name),
                cst.Arg(value=cst.SimpleString() as old),
            ]:
                if name.evaluated_value == "DJANGO_SETTINGS_MODULE":
                    yield wsgi.replace(old, f'"{places[0].module}"')


def _asgi_import(wsgi: Module, target: Target, imported: cst.ImportFrom) -> str:
    [alias] = _aliases(imported)
    imported_name = wsgi.source(alias).replace("get_wsgi_application", "get_asgi_application")
    is_configured = imported.module is not None and wsgi.source(imported.module) == _CONFIGURATIONS
    if is_configured and target is Target.NATIVE:
        return f"from configurations.asgi import {imported_name}"
    line = f"from {_MODULES[target]} import {imported_name}"
    return f"import configurations\n{line}\n\nconfigurations.setup()" if is_configured else line


def _wrap(wsgi: Module) -> str | None:
    """An ``asgi.py`` that runs the application of ``wsgi.py``, with everything that wraps it."""
    name = served_name(wsgi)
    if name is None:
        return None
    return (
        f'"""The WSGI application of {wsgi.name}, as an ASGI application."""\n\n'
        f"import bridge\nfrom {wsgi.name} import {name} as wsgi_application\n\n"
        "application = bridge.to_asgi(wsgi_application)\n"
    )

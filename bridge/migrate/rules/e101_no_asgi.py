"""No module of the project makes an ASGI application.

Every ASGI server needs one to import. It is made as ``wsgi.py`` makes its own; all other lines of
that file, such as loading a ``.env`` file or setting up tracing, are kept.

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

Where ``wsgi.py`` wraps its application in WSGI middleware (E104), ``--target bridge`` makes an
``asgi.py`` that runs that very application; for ``native`` the middleware has to be replaced by
hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.migrate.entry_points import application_calls, wrapping_of, wsgi_modules
from bridge.migrate.findings import Finding, Fix, NewFile, Severity, Source, Target
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_FROM = {
    Target.NATIVE: "from django.core.asgi import get_asgi_application",
    Target.BRIDGE: "from bridge.contrib.django import get_asgi_application",
}


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
        wsgi = next(iter(wsgi_modules(project)), None)
        path = _package(project, wsgi) / "asgi.py"
        if project.exists(path):
            return  # it makes its application in a way of its own
        where = project.base if wsgi is None else wsgi.path
        yield self.at_line(
            where,
            0 if wsgi is None else 1,
            f"there is no {project.relative(path)}, and nothing else makes an ASGI application: an "
            "ASGI server has nothing to run",
            "write it, from wsgi.py",
            source=Source.SOURCES,
            line_text="" if wsgi is None else wsgi.line(1),
            fix=_fix(project, wsgi, path),
        )


def _has_asgi(project: Project) -> bool:
    words = ("get_asgi_application", "ProtocolTypeRouter", "to_asgi", "WsgiToAsgi", "ASGIHandler")
    return next(project.containing(*words), None) is not None


def _package(project: Project, wsgi: Module | None) -> Path:
    """The folder of ``wsgi.py``, else of the settings."""
    if wsgi is not None:
        return wsgi.path.parent
    name = project.settings_module or ""
    module = project.module(name)
    folder = project.base / name.partition(".")[0] if module is None else module.path.parent
    return folder.parent if folder.name == "settings" else folder


def _fix(project: Project, wsgi: Module | None, path: Path) -> Fix | None:
    text = _new_text(project) if wsgi is None else _from_wsgi(project, wsgi)
    if text is None:
        return None
    return Fix(f"Make {project.relative(path)}", (NewFile(path, text),), safe=True)


def _new_text(project: Project) -> str:
    return (
        '"""The ASGI application."""\n\nimport os\n\n'
        f"{_FROM[project.target]}\n\n"
        f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{project.settings_module}")\n\n'
        "application = get_asgi_application()\n"
    )


def _from_wsgi(project: Project, wsgi: Module) -> str | None:
    calls = application_calls(wsgi)
    if len(calls) != 1 or wrapping_of(wsgi):
        return _around(wsgi) if project.target is Target.BRIDGE else None
    text = wsgi.text.replace("\r\n", "\n").replace("\r", "\n")
    imports = r"from django\.core\.wsgi import get_wsgi_application(?: as \w+)?"
    text, number = re.subn(imports, _FROM[project.target], text)
    name = wsgi.source(calls[0].func)
    if number != 1 or name != "get_wsgi_application":
        return _around(wsgi) if project.target is Target.BRIDGE else None
    text = text.replace("get_wsgi_application", "get_asgi_application")
    return (
        re.sub(r"#.*coding[:=].*\n", "", text, count=1)
        .replace("WSGI", "ASGI")
        .replace("/wsgi/", "/asgi/")
    )


def _around(wsgi: Module) -> str:
    """The application of ``wsgi.py`` as it is, with all that it is wrapped in."""
    return (
        f'"""The WSGI application of {wsgi.name}, as an ASGI application."""\n\n'
        f"import bridge\nfrom {wsgi.name} import application as wsgi_application\n\n"
        "application = bridge.to_asgi(wsgi_application)\n"
    )

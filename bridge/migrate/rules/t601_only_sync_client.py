"""The tests of the project use the sync ``Client`` only.

A view or middleware that fails under ASGI passes all tests, because this client runs the WSGI side
of Django. One test through ``AsyncClient`` runs the whole middleware chain as an ASGI server does.

``AsyncClient`` runs Django's own ASGI handler. With `bridge` that handler serves async views only,
and sync views run as the sync ``Client`` runs them: the fix is for ``native`` alone.

Before::

    class Pages(TestCase):
        def test_front_page(self):
            self.assertEqual(self.client.get("/").status_code, 200)

After::

    class AsgiSmokeTest(TestCase):
        async def test_front_page_answers_under_asgi(self):
            response = await self.async_client.get("/")
            self.assertLess(response.status_code, 500)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.advice import has_async_code
from bridge.migrate.findings import Finding, Fix, NewFile, Severity, Source, Target
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_SYNC = ("self.client.", "Client(", "client.get(", "client.post(")
_ASYNC = (
    *("AsyncClient", "async_client", "AsyncRequestFactory", "async_rf"),
    *("ASGITransport", "HttpCommunicator", "ApplicationCommunicator", "ChannelsLiveServerTestCase"),
)
_TEXT = '''"""The site answers under ASGI, with its whole middleware chain."""

from django.test import TestCase


class AsgiSmokeTest(TestCase):
    async def test_front_page_answers_under_asgi(self):
        response = await self.async_client.get("/")
        self.assertLess(response.status_code, 500)
'''


class OnlySyncClient(Rule):
    """See the module's docstring."""

    code = "T601"
    name = "only-sync-client"
    summary = "the tests use the sync Client only, which never runs the ASGI side"
    native = Severity.INFO
    bridge = Severity.INFO
    fix = "safe"

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return project.target is Target.BRIDGE and not has_async_code(project)

    def check_project(self, project: Project) -> Iterator[Finding]:
        if not project.is_django or next(project.containing(*_ASYNC), None) is not None:
            return
        first = next(filter(_is_test, project.containing(*_SYNC)), None)
        if first is None:
            return
        line = next(
            (number for number, text in enumerate(first.text.splitlines(), 1) if _has_client(text)),
            1,
        )
        is_native = project.target is Target.NATIVE
        yield self.at_line(
            first.path,
            line,
            "code that fails under ASGI passes the tests: they use the sync Client only",
            "add a test that uses AsyncClient" + ("" if is_native else ", for async views"),
            source=Source.SOURCES,
            line_text=first.line(line),
            fix=_fix(project, first) if is_native else None,
        )


def _fix(project: Project, beside: Module) -> Fix:
    path = beside.path.parent / "test_asgi.py"
    return Fix(f"Create {project.shown(path)}", (NewFile(path, _TEXT),), safe=True)


def _is_test(module: Module) -> bool:
    return module.path.name.startswith("test") or module.path.parent.name == "tests"


def _has_client(line: str) -> bool:
    return any(call in line for call in _SYNC)

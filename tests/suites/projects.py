"""The projects whose suites are run: versions, what their tests need, and where the crossing is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PROJECTS", "Project"]


@dataclass(frozen=True, slots=True)
class Project:
    """One suite.

    :ivar requirement: the release, for pip. Its sdist has the tests.
    :ivar client: the library whose test client gets the crossing: as in
        ``plugins/bridge_suites/clients.py``.
    :ivar crossing: in one phrase, what a request of the suite goes through.
    :ivar needs: what the tests import besides, for pip. Its releases are held by
        ``constraints.txt``.
    :ivar arguments: for the suite's runner: paths and options of pytest, or labels of Django's.
    :ivar runner: a module for ``python -m``.
    :ivar folder: to start the runner in, below the root of the sdist.
    """

    requirement: str
    client: str
    crossing: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("tests",)
    runner: str = "pytest"
    folder: str = "."

    @property
    def title(self) -> str:
        """As in ``asgiref``."""
        return self.requirement.partition("==")[0]

    @property
    def version(self) -> str:
        """As in ``3.13.0``."""
        return self.requirement.partition("==")[2]


_TO_ASGI_AND_BACK = "`to_wsgi(to_asgi(app))`"
_TO_WSGI_AND_BACK = '`to_asgi(to_wsgi(app), underscore_headers="keep")`'

_DJANGO_LABELS = (
    *("admin_docs", "admin_views", "asgi", "auth_tests", "conditional_processing"),
    *("context_processors", "csrf_tests", "file_uploads", "flatpages_tests", "generic_views"),
    *("handlers", "httpwrappers", "logging_tests", "messages_tests", "middleware"),
    *("middleware_exceptions", "redirects_tests", "requests_tests", "responses", "servers"),
    *("sessions_tests", "shortcuts", "signed_cookies_tests", "sitemaps_tests", "staticfiles_tests"),
    *("syndication_tests", "test_client", "test_client_regress", "urlpatterns"),
    *("urlpatterns_reverse", "view_tests", "wsgi"),
)
"""The parts of Django's suite that use its test clients, and those about handlers."""

PROJECTS: dict[str, Project] = {
    project.title.lower(): project
    for project in (
        Project(
            "asgiref==3.13.0",
            client="asgiref",
            crossing="`sync_to_async`, `async_to_sync` and `WsgiToAsgi`; a2wsgi has only the last",
            needs=("packaging", "pytest-asyncio"),
        ),
        Project(
            "Flask==3.1.3",
            client="werkzeug",
            crossing=_TO_ASGI_AND_BACK,
            needs=("flask[async,dotenv]", "greenlet"),
        ),
        Project(
            "Werkzeug==3.1.9",
            client="werkzeug",
            crossing=_TO_ASGI_AND_BACK,
            needs=("cffi", "cryptography", "ephemeral-port-reserve", "watchdog"),
        ),
        Project(
            "Bottle==0.13.4",
            client="bottle",
            crossing=_TO_ASGI_AND_BACK,
            needs=("jinja2", "mako"),
            arguments=("test",),
        ),
        Project(
            "Pyramid==2.1",
            client="webtest",
            crossing=_TO_ASGI_AND_BACK,
            needs=("setuptools<81", "webtest", "zope.component"),
        ),
        Project(
            "Starlette==1.10.0",
            client="starlette",
            crossing=_TO_WSGI_AND_BACK,
            needs=("starlette[full]", "httpx2[zstd]", "anyio[trio]", "opentelemetry-sdk"),
            arguments=("tests", "-k", "not trio"),  # bridge runs on asyncio only
        ),
        Project(
            "FastAPI==0.165.0",
            client="starlette",
            crossing=_TO_WSGI_AND_BACK,
            needs=(
                "fastapi[all]",
                "anyio[trio]",
                "dirty-equals",
                "flask",
                "httpx2",
                "inline-snapshot",
                "pwdlib[argon2]",
                "pyjwt",
                "pyyaml",
                "sqlmodel",
                "strawberry-graphql",
            ),
            # Its telemetry is tested in processes of their own, where no client has a crossing.
            arguments=("tests", "--ignore=tests/test_telemetry"),
        ),
        Project(
            "Django==5.2.19",
            client="django",
            crossing=f"{_TO_ASGI_AND_BACK} for `Client`, {_TO_WSGI_AND_BACK} for `AsyncClient`",
            needs=("jinja2", "tblib", "docutils", "pyyaml"),
            arguments=("--parallel=1", "--noinput", *_DJANGO_LABELS),
            runner="bridge_suites.django_runner",
            folder="tests",
        ),
    )
}
"""Name for the command line -> project."""

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
    )
}
"""Name for the command line -> project."""

"""A server that is started with ``--lifespan on`` for an app without lifespan.

uvicorn exits at startup: Django's ASGI handler supports only ``http``, and with ``--lifespan on``
uvicorn treats its ``ValueError`` as a failed startup. Apps that `bridge` makes answer the lifespan
messages. There the option does no harm, but the project cannot go back to Django's own handler.

Before::

    web: uvicorn mysite.asgi:application --lifespan on --port $PORT

After::

    web: uvicorn mysite.asgi:application --lifespan auto --port $PORT
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class LifespanOn(Rule):
    """See the module's docstring."""

    code = "E106"
    name = "lifespan-on"
    summary = "a server is started with --lifespan on, but Django has no lifespan"
    native = Severity.ERROR
    bridge = Severity.WARNING
    sources = (Source.DEPLOY,)

    def check_project(self, project: Project) -> Iterator[Finding]:
        for command in project.deploy.starting("uvicorn"):
            if project.is_django and command.option("--lifespan") == "on":
                yield self.at_line(
                    command.path,
                    command.line,
                    "uvicorn exits at startup: --lifespan on needs a lifespan, and Django's ASGI "
                    "handler has none",
                    "use --lifespan auto, the default",
                    line_text=command.text.partition("\n")[0],
                )

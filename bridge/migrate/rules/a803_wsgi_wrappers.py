"""The WSGI wrappers of Starlette, FastAPI and uvicorn.

``starlette.middleware.wsgi.WSGIMiddleware`` (FastAPI's is the same) and uvicorn's
``--interface wsgi`` read the whole request body into memory before they call the app, and do not
limit how much of a response waits to be sent. All three are deprecated. `bridge` streams in both
directions.

Before::

    from fastapi.middleware.wsgi import WSGIMiddleware

    app.mount("/flask", WSGIMiddleware(flask_app))

After::

    from bridge import WsgiToAsgi

    app.mount("/flask", WsgiToAsgi(flask_app))

For a start command, ``uvicorn shop:app --interface wsgi --port 80`` becomes ``bridge run shop:app
--interface wsgi --server uvicorn --port 80``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Fix, Severity, Source
from bridge.migrate.requirements import add_requirement
from bridge.migrate.rewrap import Adapter, uses_of
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.deploy.records import StartCommand
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project

_ADAPTER = Adapter(
    tuple(f"{package}.middleware.wsgi.WSGIMiddleware" for package in ("starlette", "fastapi")),
    "WsgiToAsgi",
    {},
    packages=("fastapi", "starlette"),
)
_COUNTERPARTS = {
    "--host": "--host",
    "--port": "--port",
    "--uds": "--uds",
    "--workers": "--workers",
    "--root-path": "--root-path",
    "--app-dir": "--app-dir",
    "--log-level": "--log-level",
    "--timeout-graceful-shutdown": "--grace-s",
}
_FLAGS = {"--reload": "--reload"}
_COMMON_LEVELS = ("critical", "error", "warning", "info", "debug")


class WsgiWrappers(Rule):
    """See the module's docstring."""

    code = "A803"
    name = "deprecated-wsgi-wrapper"
    summary = "Starlette's WSGIMiddleware or uvicorn --interface wsgi: deprecated, bodies in memory"
    native = Severity.WARNING
    bridge = Severity.WARNING
    sources = (Source.SOURCES, Source.DEPLOY)
    fix = "safe"
    triggers = ("middleware.wsgi",)

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        for node, fix in uses_of(module, project, _ADAPTER):
            yield self.at(
                module,
                node,
                "Starlette's WSGIMiddleware is deprecated, and reads each request body into memory "
                "before it calls the app",
                "use bridge.WsgiToAsgi(app)",
                fix=fix,
            )

    def check_project(self, project: Project) -> Iterator[Finding]:
        for command in project.deploy.starting("uvicorn"):
            if command.option("--interface") == "wsgi":
                yield self.at_line(
                    command.path,
                    command.line,
                    "uvicorn's own WSGI adapter is deprecated, and reads each request body into "
                    "memory before it calls the app",
                    "start the app with bridge run, which is uvicorn with bridge's adapter",
                    line_text=command.text.partition("\n")[0],
                    fix=_fix(project, command),
                )


def _fix(project: Project, command: StartCommand) -> Fix | None:
    argv = _translate(command.argv)
    if argv is None or not command.text.startswith(("uvicorn", '"uvicorn', "'uvicorn")):
        return None
    edit = command.replace(argv)
    if edit is None:
        return None
    package = add_requirement(project, "wsgi-asgi-bridge[cli,uvicorn]", beside="uvicorn")
    return Fix("Start the app with bridge run", (edit, *package), safe=True)


def _translate(argv: tuple[str, ...]) -> list[str] | None:
    """The arguments of ``bridge run``; None if an option has no counterpart."""
    words = [part for word in argv[1:] for part in _split_option(word)]
    result = ["bridge", "run"]
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-"):
            result.append(word)
        elif word in _FLAGS:
            result.append(_FLAGS[word])
        elif position + 1 < len(words) and _has_counterpart(word, words[position + 1]):
            result += [_COUNTERPARTS.get(word, word), words[position + 1]]
            position += 1
        else:
            return None
        position += 1
    return [*result, "--server", "uvicorn"]


def _split_option(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, value] if equals and name.startswith("--") else [word]


def _has_counterpart(name: str, value: str) -> bool:
    if name == "--log-level":
        return value in _COMMON_LEVELS
    return name in _COUNTERPARTS or name == "--interface"

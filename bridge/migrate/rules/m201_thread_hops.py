"""How often Django's ASGI handler hands one request to a thread, and where.

Each hook of a middleware that is not async itself, each sync view and some steps of Django's own
are run by ``sync_to_async``: the event loop waits for a thread, and the thread for the event loop.
With the middleware of startproject and a sync view that is 16 times a request; under WSGI it is
never, through `bridge` once. A note, not a fault: it is what native ASGI costs a project like this.

The number is worked out as Django builds its chain, from middleware that was probed live where the
project could be asked. Middleware that raised MiddlewareNotUsed does not count.

Before::

    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",        # 2 hops: in and out
        "django.contrib.sessions.middleware.SessionMiddleware",  # 2 hops
        "django.middleware.csrf.CsrfViewMiddleware",             # 3 hops, with process_view
    ]

After::

    # asgi.py: one hop for each request to a sync view, whatever its middleware
    from bridge.contrib.django import get_asgi_application
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source
from bridge.migrate.hops import hops, returns
from bridge.migrate.middleware import NOT_PROBED, Entry, entries
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.project import Project


class ThreadHops(Rule):
    """See the module's docstring."""

    code = "M201"
    name = "thread-hops"
    summary = "how often one request is handed to a thread, and where"
    native = Severity.INFO
    bridge = Severity.INFO
    sources = (Source.RUNTIME, Source.SOURCES)

    def check_project(self, project: Project) -> Iterator[Finding]:
        setting = project.settings.get("MIDDLEWARE")
        if setting is None or setting.place is None:
            return
        found = entries(project)
        yield self.at(
            *setting.place,
            _message(project, found),
            "nothing, unless it is too slow: measure. Each middleware taken out saves its hops",
            source=Source.SOURCES if project.facts is None else Source.RUNTIME,
        )


def _message(project: Project, found: list[Entry]) -> str:
    facts = [entry.fact for entry in found]
    way = hops(facts, is_async_view=False)
    unknown = sum(fact.error == NOT_PROBED for fact in facts)
    about = "about " if unknown else ""
    back = returns(facts)
    parts = [
        f"{about}{len(way)} hand-overs to a thread for each request to a sync view under Django's "
        f"own ASGI handler, {len(way) - 1} to an async one, one through bridge: "
        + _where(project, found)
    ]
    if back:
        parts.append(f"and {back} times a thread waits for the event loop, inside sync middleware")
    if unknown:
        parts.append(f"without {unknown} middleware that could not be probed")
    return "; ".join(parts)


def _where(project: Project, found: list[Entry]) -> str:
    """``SecurityMiddleware x2 (shop/middleware.py:12), view, ...``, in the order of the request."""
    way = hops([entry.fact for entry in found], is_async_view=False)
    counts = Counter(hop.middleware or hop.step for hop in way)
    files = {entry.fact.path: _file(project, entry) for entry in found}
    return ", ".join(
        f"{name.rpartition('.')[2] if name in files else name}"
        f"{f' x{number}' if number > 1 else ''}{files.get(name, '')}"
        for name, number in counts.items()
    )


def _file(project: Project, entry: Entry) -> str:
    """Where the project's own middleware is; that of others goes by its name."""
    if entry.code is None:
        return ""
    module, node = entry.code
    return f" ({project.relative(module.path)}:{module.position(node)[0]})"

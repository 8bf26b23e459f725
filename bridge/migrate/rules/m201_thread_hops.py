"""How often Django's ASGI handler hands one request to a thread, and where.

With the middleware of startproject and a sync view it does so 16 times for each request; under WSGI
never, with `bridge` once. ``sync_to_async`` runs each hook of a middleware that is not async, each
sync view and some of Django's own steps: the event loop waits for a thread, and the thread for the
event loop. This is a note, not a fault: the cost of native ASGI for this project.

The number is computed in the steps in which Django builds its chain, from middleware that was
probed in the running project where that was possible. Middleware that raised MiddlewareNotUsed does
not count.

Before::

    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",         # 2 hand-overs: in and out
        "django.contrib.sessions.middleware.SessionMiddleware",  # 2 hand-overs
        "django.middleware.csrf.CsrfViewMiddleware",             # 3, with process_view
    ]

After::

    # asgi.py: one hand-over for each request to a sync view, whatever its middleware
    from bridge.contrib.django import get_asgi_application
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.findings import Finding, Severity, Source, Target
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

    def is_detail(self, finding: Finding, project: Project) -> bool:
        return project.target is Target.BRIDGE  # one hand-over, whatever the middleware

    def check_project(self, project: Project) -> Iterator[Finding]:
        setting = project.settings.get("MIDDLEWARE")
        if setting is None or setting.place is None:
            return
        found = entries(project)
        yield self.at(
            *setting.place,
            _message(project, found),
            "no change needed, unless requests are too slow: measure. Removing a middleware saves "
            "its hand-overs",
            source=Source.SOURCES if project.facts is None else Source.RUNTIME,
        )


def _message(project: Project, found: list[Entry]) -> str:
    facts = [entry.fact for entry in found]
    path = hops(facts, is_async_view=False)
    unknown = sum(fact.error == NOT_PROBED for fact in facts)
    about = "about " if unknown else ""
    waits = returns(facts)
    parts = [
        f"{about}{len(path)} hand-overs to a thread for each request to a sync view under Django's "
        f"own ASGI handler, {len(path) - 1} to an async one, one with bridge: "
        + _where(project, found)
    ]
    if waits:
        parts.append(f"a thread waits {waits} times for the event loop, inside sync middleware")
    if unknown:
        parts.append(f"without {unknown} middleware that could not be probed")
    return "; ".join(parts)


def _where(project: Project, found: list[Entry]) -> str:
    """``SecurityMiddleware x2 (shop/middleware.py:12), view, ...``, in the order of the request."""
    path = hops([entry.fact for entry in found], is_async_view=False)
    counts = Counter(hop.middleware or hop.step for hop in path)
    files = {entry.fact.path: _file(project, entry) for entry in found}
    return ", ".join(
        f"{name.rpartition('.')[2] if name in files else name}"
        f"{f' x{number}' if number > 1 else ''}{files.get(name, '')}"
        for name, number in counts.items()
    )


def _file(project: Project, entry: Entry) -> str:
    """The file and line of the project's own middleware; empty for that of packages."""
    if entry.code is None:
        return ""
    module, node = entry.code
    return f" ({project.shown(module.path)}:{module.position(node)[0]})"

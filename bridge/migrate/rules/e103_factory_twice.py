"""The application factory is called twice in one module.

Each call loads all middleware again. The application works, but needs more memory and start-up
time, and middleware that expects to be created once, such as one that holds a cache, exists twice.
Call the factory once, and use the result in both places.

Before::

    application = ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": routes(get_asgi_application())}
    )

After::

    django_app = get_asgi_application()
    application = ProtocolTypeRouter({"http": django_app, "websocket": routes(django_app)})
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.migrate.entry_points import application_calls
from bridge.migrate.findings import Finding, Severity
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project


class FactoryTwice(Rule):
    """See the module's docstring."""

    code = "E103"
    name = "factory-called-twice"
    summary = "the application factory is called twice"
    native = Severity.INFO
    bridge = Severity.INFO
    triggers = ("get_asgi_application", "get_wsgi_application")

    def check_module(self, module: Module, project: Project) -> Iterator[Finding]:
        seen: set[str] = set()
        for call in application_calls(module):
            name = module.qualified(call) or ""
            if name in seen:
                yield self.at(
                    module,
                    call,
                    "all middleware is created twice: "
                    f"{name.rpartition('.')[2]}() is called a second time",
                    "call it once, and use the result in both places",
                )
            seen.add(name)

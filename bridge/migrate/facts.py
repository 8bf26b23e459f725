"""The result of introspection, as typed values.

Input: the JSON of :mod:`bridge.migrate.introspect_script`. Output: :class:`Facts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Facts", "MiddlewareFact", "ViewFact"]


@dataclass(frozen=True)
class MiddlewareFact:
    """One entry of ``MIDDLEWARE``, probed in the running project.

    :ivar path: as in the settings.
    :ivar file: where it is defined; empty if not known.
    :ivar line: from 1; 0 if not known.
    :ivar hooks: which of ``process_request``, ``process_response``, ``process_view``,
        ``process_exception`` and ``process_template_response`` it has.
    :ivar is_used: False if it raised ``MiddlewareNotUsed``.
    :ivar is_mixin: whether it is a ``MiddlewareMixin``.
    :ivar overrides_call: whether it is a ``MiddlewareMixin`` that overrides ``__call__``.
    :ivar native_hooks: the hooks that are async, or called by its own code: they cost no hop.
    :ivar trusts_header: whether it reads a user name from a request header under ASGI.
    :ivar sets_user: whether its code assigns ``request.user``.
    :ivar error: why it could not be probed; empty if it was.
    """

    path: str
    file: str = ""
    line: int = 0
    sync_capable: bool = True
    async_capable: bool = False
    is_used: bool = True
    is_mixin: bool = False
    overrides_call: bool = False
    hooks: tuple[str, ...] = ()
    native_hooks: tuple[str, ...] = ()
    trusts_header: bool = False
    sets_user: bool = False
    error: str = ""

    @property
    def is_sync_only(self) -> bool:
        return not self.async_capable


@dataclass(frozen=True)
class ViewFact:
    """One view of the URLconf.

    :ivar route: the full pattern, as ``shop/<int:pk>/``.
    :ivar name: its dotted name.
    :ivar file: where it is defined; empty if not known.
    :ivar is_async: whether Django awaits it.
    :ivar is_template: whether its class returns a ``TemplateResponse``.
    :ivar non_atomic: the databases for which it opts out of ``ATOMIC_REQUESTS``.
    """

    route: str
    name: str
    file: str = ""
    line: int = 0
    is_async: bool = False
    is_template: bool = False
    non_atomic: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything that introspection found.

    :ivar python: the version of the project's Python.
    :ivar django: the version of its Django.
    :ivar settings: the settings that rules need, as far as JSON can represent them.
    :ivar packages: the versions of the installed packages that rules need, by name.
    :ivar targets: why an app of the deploy files cannot be imported, by its name; empty if it can.
    """

    python: str = ""
    django: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    middleware: tuple[MiddlewareFact, ...] = ()
    views: tuple[ViewFact, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Facts:
        """From the output of the script."""
        middleware = tuple(MiddlewareFact(**_tuples(each)) for each in data["middleware"])
        views = tuple(ViewFact(**_tuples(each)) for each in data["views"])
        plain = {key: data[key] for key in ("python", "django", "settings", "packages")}
        targets = data.get("targets", {})
        return cls(middleware=middleware, views=views, targets=targets, **plain)


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}

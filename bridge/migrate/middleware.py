"""The middleware of a project, from introspection or else from its sources.

Input: a project. Output: a :class:`~bridge.migrate.facts.MiddlewareFact` for each entry of
``MIDDLEWARE``, and its place in the settings and in the project's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from bridge.migrate.classes import attribute, derives_from, lineage, methods_of
from bridge.migrate.facts import MiddlewareFact
from bridge.migrate.findings import Source
from bridge.migrate.module import Module
from bridge.migrate.project import Project

__all__ = [
    "MIXIN",
    "Entry",
    "describe",
    "entries",
    "entry_node",
    "middleware_of",
    "unnamed_middleware",
]

MIXIN = "django.utils.deprecation.MiddlewareMixin"
NOT_PROBED = "not probed"

_REQUEST, _VIEW, _RESPONSE = "process_request", "process_view", "process_response"
_BOTH = (_REQUEST, _RESPONSE)
_DJANGO = {
    "django.middleware.cache.CacheMiddleware": _BOTH,
    "django.middleware.cache.FetchFromCacheMiddleware": (_REQUEST,),
    "django.middleware.cache.UpdateCacheMiddleware": (_RESPONSE,),
    "django.middleware.clickjacking.XFrameOptionsMiddleware": (_RESPONSE,),
    "django.middleware.common.BrokenLinkEmailsMiddleware": (_RESPONSE,),
    "django.middleware.common.CommonMiddleware": _BOTH,
    "django.middleware.csp.ContentSecurityPolicyMiddleware": _BOTH,
    "django.middleware.csrf.CsrfViewMiddleware": (_REQUEST, _VIEW, _RESPONSE),
    "django.middleware.gzip.GZipMiddleware": (_RESPONSE,),
    "django.middleware.http.ConditionalGetMiddleware": (_RESPONSE,),
    "django.middleware.locale.LocaleMiddleware": _BOTH,
    "django.middleware.security.SecurityMiddleware": _BOTH,
    "django.contrib.admindocs.middleware.XViewMiddleware": (_VIEW,),
    "django.contrib.auth.middleware.AuthenticationMiddleware": (_REQUEST,),
    "django.contrib.auth.middleware.LoginRequiredMiddleware": (_VIEW,),
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware": (_RESPONSE,),
    "django.contrib.messages.middleware.MessageMiddleware": _BOTH,
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware": (_RESPONSE,),
    "django.contrib.sessions.middleware.SessionMiddleware": _BOTH,
    "django.contrib.sites.middleware.CurrentSiteMiddleware": (_REQUEST,),
}
"""The hooks of Django's own middleware, for projects that are not introspected."""
_HOOKS = (*_BOTH, _VIEW, "process_exception", "process_template_response")
_REMOTE_USER = ("RemoteUserMiddleware", "PersistentRemoteUserMiddleware")


@dataclass(frozen=True)
class Entry:
    """One entry of ``MIDDLEWARE``.

    :ivar fact: its properties; ``error`` is :data:`NOT_PROBED` if nothing is known about it.
    :ivar source: R if it was probed, else S.
    :ivar setting: its place in the settings; None if not known.
    :ivar code: its class or function, if the project defines it.
    """

    fact: MiddlewareFact
    source: Source
    setting: tuple[Module, cst.CSTNode] | None
    code: tuple[Module, cst.ClassDef | cst.FunctionDef] | None


def entries(project: Project) -> list[Entry]:
    """All entries, outermost first."""
    return [
        Entry(
            fact,
            Source.SOURCES if project.facts is None else Source.RUNTIME,
            entry_node(project, "MIDDLEWARE", fact.path),
            project.find(fact.path),
        )
        for fact in middleware_of(project)
    ]


def middleware_of(project: Project) -> list[MiddlewareFact]:
    """The facts about each entry of ``MIDDLEWARE``, outermost first."""
    if project.facts is not None:
        return list(project.facts.middleware)
    return [_from_sources(project, path) for path in project.settings.strings("MIDDLEWARE")]


def _from_sources(project: Project, path: str) -> MiddlewareFact:
    if path in _DJANGO:
        return MiddlewareFact(path, async_capable=True, is_mixin=True, hooks=_DJANGO[path])
    if path.startswith("django.contrib.auth.") and path.endswith(_REMOTE_USER):
        hooks = (_REQUEST,)
        return MiddlewareFact(
            path, async_capable=True, hooks=hooks, native_hooks=hooks, trusts_header=True
        )
    found = project.find(path)
    if found is None:  # most middleware of other packages are MiddlewareMixins
        return MiddlewareFact(path, async_capable=True, error=NOT_PROBED)
    return describe(project, *found)


def describe(
    project: Project, module: Module, node: cst.ClassDef | cst.FunctionDef
) -> MiddlewareFact:
    """The facts about a middleware that the project defines, from its code."""
    line, _ = module.position(node)
    file, path = str(module.path), f"{module.name}.{node.name.value}"
    if isinstance(node, cst.FunctionDef):
        marks = {module.qualified(each.decorator) or "" for each in node.decorators}
        can_async = any(
            mark.endswith(("async_middleware", "async_only_middleware")) for mark in marks
        )
        can_sync = not any(mark.endswith("async_only_middleware") for mark in marks)
        return MiddlewareFact(path, file, line, sync_capable=can_sync, async_capable=can_async)
    is_mixin = derives_from(project, module, node, MIXIN)
    methods = _methods(project, module, node)
    hooks = tuple(name for name in _HOOKS if name in methods)
    native = tuple(name for name in hooks if methods[name].asynchronous is not None)
    own_call = is_mixin and "__call__" in methods
    if own_call or "__acall__" in methods or not is_mixin:
        native = (*native, *(name for name in _BOTH if name in hooks and name not in native))
    return MiddlewareFact(
        path,
        file,
        line,
        sync_capable=bool(attribute(project, module, node, "sync_capable", True)),
        async_capable=bool(attribute(project, module, node, "async_capable", is_mixin)),
        is_mixin=is_mixin,
        overrides_call=own_call and methods["__call__"].asynchronous is None,
        hooks=hooks,
        native_hooks=native,
    )


def _methods(project: Project, module: Module, node: cst.ClassDef) -> dict[str, cst.FunctionDef]:
    found: dict[str, cst.FunctionDef] = {}
    for _, each in lineage(project, module, node):
        for method in methods_of(each):
            found.setdefault(method.name.value, method)
    return found


def unnamed_middleware(project: Project) -> Iterator[tuple[Module, cst.ClassDef]]:
    """The project's middleware in modules that do not contain the word "Middleware".

    Rules check every module that contains it, whether its classes are in the setting or not.
    """
    for entry in entries(project):
        if entry.code is not None and isinstance(entry.code[1], cst.ClassDef):
            module, node = entry.code[0], entry.code[1]
            if "Middleware" not in module.text:
                yield module, node


def entry_node(project: Project, name: str, value: str) -> tuple[Module, cst.CSTNode] | None:
    """The place of a string in a setting that is a list; else the place of the setting."""
    setting = project.settings.get(name)
    if setting is None or setting.place is None:
        return None
    for module in _settings_modules(project, setting.place[0]):
        for node in module.nodes(cst.SimpleString):
            if node.evaluated_value == value:
                return module, node
    return setting.place


def _settings_modules(project: Project, first: Module) -> Iterator[Module]:
    """This module, then those beside it: ``base.py`` for ``settings/production.py``."""
    yield first
    package = first.path.parent
    if package.name == "settings" or first.name.endswith("settings"):
        for module in project.containing("MIDDLEWARE", "INSTALLED_APPS"):
            if module.path.parent == package and module is not first:
                yield module

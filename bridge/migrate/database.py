"""The databases in a project's settings, and where each key is written.

Input: a project. Output: the entries of ``DATABASES`` by alias, and nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libcst as cst

from bridge.migrate.findings import Source
from bridge.migrate.literals import evaluate
from bridge.migrate.module import Module
from bridge.migrate.project import Project
from bridge.migrate.text import CannotRead

__all__ = ["aliases", "key_place", "settings_path", "source_of"]


def aliases(project: Project) -> dict[str, dict[str, Any]]:
    """Each database's settings, as far as they are known."""
    value = project.settings.value("DATABASES", {})
    if not isinstance(value, dict):
        return {}
    return {str(alias): each for alias, each in value.items() if isinstance(each, dict)}


def source_of(project: Project) -> Source:
    """The source of the ``DATABASES`` setting."""
    setting = project.settings.get("DATABASES")
    return setting.source if setting is not None else Source.SOURCES


def _settings_modules(project: Project) -> Iterator[Module]:
    """The settings modules that can be parsed; the one with ``DATABASES`` first."""
    setting = project.settings.get("DATABASES")
    names = [project.settings.get(name) for name in sorted(project.settings.names())]
    found = [each.module for each in (setting, *names) if each is not None]
    for module in dict.fromkeys(each for each in found if each is not None):
        try:
            _ = module.tree
        except CannotRead:
            continue
        yield module


def settings_path(project: Project) -> Path:
    """The file of the settings, for a finding without a line; else the project's folder."""
    module = next(_settings_modules(project), None)
    return project.root if module is None else module.path


def key_place(project: Project, alias: str, key: str) -> tuple[Module, cst.BaseExpression] | None:
    """The expression that sets a key of a database, in any of the forms below."""
    for module in _settings_modules(project):
        for path, node in (*_items(module), *_assignments(module), *_arguments(module)):
            if path[-1] == key and all(each in (alias, None) for each in path[-2:-1]):
                return module, node
    return None


Place = tuple[list[Any], cst.BaseExpression]


def _items(module: Module) -> Iterator[Place]:
    """``"default": {"CONN_MAX_AGE": 60}``, with the enclosing keys."""
    for node in module.nodes(cst.DictElement):
        keys = [evaluate(node.key)]
        for above in module.ancestors(node):
            if isinstance(above, cst.DictElement):
                keys.insert(0, evaluate(above.key))
        yield keys, node.value


def _assignments(module: Module) -> Iterator[Place]:
    """``DATABASES["default"]["CONN_MAX_AGE"] = 60``"""
    for node in module.nodes(cst.Assign):
        keys: list[Any] = []
        inner: cst.BaseExpression = node.targets[0].target
        while isinstance(inner, cst.Subscript):
            match inner.slice:
                case [cst.SubscriptElement(slice=cst.Index(value=key))]:
                    value = evaluate(key)
                    keys.insert(0, value if isinstance(value, str) else None)
                case _:
                    keys.insert(0, None)
            inner = inner.value
        if keys:
            yield keys, node.value


def _arguments(module: Module) -> Iterator[Place]:
    """``dj_database_url.config(conn_max_age=600)``, for any alias."""
    for node in module.nodes(cst.Call):
        if (module.qualified(node) or "").partition(".")[0] == "dj_database_url":
            for each in node.args:
                if each.keyword is not None:
                    yield [None, each.keyword.value.upper()], each.value

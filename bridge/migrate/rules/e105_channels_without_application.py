"""Channels or daphne without ``ASGI_APPLICATION``, or daphne after ``staticfiles``.

``daphne`` in ``INSTALLED_APPS`` replaces ``runserver``, which exits at once if ``ASGI_APPLICATION``
is not set; the test server of Channels needs the setting too. Where ``daphne`` is listed after
``django.contrib.staticfiles``, ``manage.py check`` fails with ``daphne.E001``, and ``runserver`` is
not replaced.

Before::

    INSTALLED_APPS = [
        "django.contrib.staticfiles",
        "daphne",
    ]

After::

    INSTALLED_APPS = [
        "daphne",
        "django.contrib.staticfiles",
    ]

    ASGI_APPLICATION = "mysite.asgi.application"
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from bridge.migrate.findings import Edit, Finding, Fix, Severity, Source
from bridge.migrate.middleware import entry_node
from bridge.migrate.rule import Rule

if TYPE_CHECKING:
    from bridge.migrate.module import Module
    from bridge.migrate.project import Project
    from bridge.migrate.settings import Setting

    Place = tuple[Module, cst.CSTNode]

_STATIC = "django.contrib.staticfiles"


class ChannelsWithoutApplication(Rule):
    """See the module's docstring."""

    code = "E105"
    name = "channels-without-application"
    summary = "channels or daphne without ASGI_APPLICATION, or daphne after staticfiles"
    native = Severity.ERROR
    bridge = Severity.ERROR
    sources = (Source.SOURCES, Source.RUNTIME)
    fix = "safe"

    def check_project(self, project: Project) -> Iterator[Finding]:
        setting = project.settings.get("INSTALLED_APPS")
        if setting is None or setting.place is None:
            return
        apps = project.settings.strings("INSTALLED_APPS")
        for name in ("daphne", "channels"):
            if name in apps and not project.settings.value("ASGI_APPLICATION"):
                place = entry_node(project, "INSTALLED_APPS", name) or setting.place
                yield self._no_application(project, setting, place, name)
                break
        if "daphne" in apps and _STATIC in apps and apps.index("daphne") > apps.index(_STATIC):
            place = entry_node(project, "INSTALLED_APPS", "daphne") or setting.place
            yield self._too_late(setting, place)

    def _no_application(
        self, project: Project, setting: Setting, place: Place, name: str
    ) -> Finding:
        return self.at(
            *place,
            "daphne's runserver exits at once, and Channels' test server finds no application: "
            f"{name} is installed, but ASGI_APPLICATION is not set",
            'set ASGI_APPLICATION = "mysite.asgi.application", with the name of your module',
            source=setting.source,
            fix=_set_application(project, setting),
        )

    def _too_late(self, setting: Setting, place: Place) -> Finding:
        return self.at(
            *place,
            "manage.py check fails with daphne.E001, and runserver is still Django's: daphne is "
            f"listed after {_STATIC}",
            'put "daphne" first in INSTALLED_APPS',
            source=setting.source,
            fix=_move_daphne(setting),
        )


def _set_application(project: Project, setting: Setting) -> Fix | None:
    """None unless the project has exactly one ``asgi`` module, with an ``application``."""
    found = [module for module in project.modules if module.name.rpartition(".")[2] == "asgi"]
    if "ASGI_APPLICATION" in project.settings.names() or len(found) != 1:
        return None
    if setting.place is None or setting.literal is None or "application" not in found[0].text:
        return None
    module, node = setting.place
    number = module.line_of(module.span(node)[1]) + 1
    text = f'\n{module.indent_of(node)}ASGI_APPLICATION = "{found[0].name}.application"\n'
    return Fix("Set ASGI_APPLICATION", (module.insert_line(number, text),), safe=True)


def _move_daphne(setting: Setting) -> Fix | None:
    """None unless the setting is one literal list of plain strings."""
    module, literal = setting.module, setting.literal
    if module is None or not isinstance(literal, cst.List | cst.Tuple):
        return None
    values = [each.value for each in literal.elements]
    strings = [each for each in values if isinstance(each, cst.SimpleString) and not each.lpar]
    at = next((n for n, each in enumerate(strings) if each.evaluated_value == "daphne"), 0)
    if len(strings) != len(values) or at == 0:
        return None
    have_own_lines = all(_has_own_line(module, each) for each in strings)
    edits = _move_line(module, strings, at) if have_own_lines else _move_item(module, strings, at)
    return Fix('Put "daphne" first', edits, safe=True) if edits else None


def _has_own_line(module: Module, string: cst.SimpleString) -> bool:
    """Whether nothing else is on the line of a string, except a comma and a comment."""
    text = module.line(module.position(string)[0]).partition("#")[0].strip()
    return text.removesuffix(",").rstrip() == module.source(string)


def _move_line(module: Module, strings: list[cst.SimpleString], at: int) -> tuple[Edit, ...]:
    """Move the whole line, including its comment."""
    first, line = (module.position(strings[each])[0] for each in (0, at))
    text = module.line(line)
    before, hash_, comment = text.partition("#")
    if not before.rstrip().endswith(","):
        text = f"{before.rstrip()},{f'  #{comment}' if hash_ else ''}"
    return module.delete_lines(line, line), module.insert_line(first, f"{text}\n")


def _move_item(module: Module, strings: list[cst.SimpleString], at: int) -> tuple[Edit, ...]:
    """Move the string with the separator of the first two; no edits where a comment would move."""
    spans = [module.span(each) for each in strings]
    between = module.text[spans[0][1] : spans[1][0]]
    removal = Edit(module.path, spans[at - 1][1], spans[at][1], "")
    if "#" in between or "#" in module.text[removal.start : removal.end]:
        return ()
    return removal, module.insert_before(strings[0], module.source(strings[at]) + between)

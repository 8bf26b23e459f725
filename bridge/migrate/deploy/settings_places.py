"""Where a deployment names Django's settings module.

Input: the contents of the deploy files. Output: a :class:`SettingsPlace` for each. Pure.

``wsgi.py`` and ``manage.py`` are not among them: they only have a default, for when nothing else
names one. Files for development and tests, by their name, do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.migrate.deploy.arguments import given_options
from bridge.migrate.deploy.environment import variables_named
from bridge.migrate.deploy.records import Deploy, Option

__all__ = ["SettingsPlace", "settings_places"]

_VARIABLE = "DJANGO_SETTINGS_MODULE"
_ENVIRONMENT = ("env", "raw_env", "SetEnv")
_NOT_SERVED = re.compile(
    r"(^|[-_./])(dev|devel|development|local|test|tests|testing|ci|debug|example|sample)([-_./]|$)"
)


@dataclass(frozen=True)
class SettingsPlace:
    """One place.

    :ivar module: the settings module.
    :ivar shown: how it is set, as written: ``Environment`` or ``env``.
    """

    module: str
    path: Path
    line: int
    shown: str


def settings_places(deploy: Deploy, root: Path) -> Iterator[SettingsPlace]:
    """The places, in the order in which one overrides another: those of a server first."""
    for option in _of_servers(deploy):
        for text in _texts(option):
            name, _, module = text.replace(" ", "=", 1).partition("=")
            if name.strip() == _VARIABLE and module and _is_served(option.path, root):
                module = module.strip("\"' ")
                yield SettingsPlace(module, option.path, option.line, option.shown)
    inline = (option for command in deploy.commands for option in command.variables)
    found = [option for option in inline if option.name == _VARIABLE]
    found += [option for _, option in variables_named(deploy.parts, _VARIABLE)]
    for option in found:
        module = option.default
        if isinstance(module, str) and module and _is_served(option.path, root):
            yield SettingsPlace(module, option.path, option.line, option.shown)


def _of_servers(deploy: Deploy) -> Iterator[Option]:
    """The options of servers that set variables, in the default case."""
    found: list[Iterable[Option]] = [config.options for config in deploy.configs]
    found += [given_options(command) for command in deploy.commands]
    for options in found:
        yield from (
            each for each in options if each.name in _ENVIRONMENT and each.applies is not False
        )


def _texts(option: Option) -> list[str]:
    value = option.value if option.default is None else option.default
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _is_served(path: Path, root: Path) -> bool:
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return _NOT_SERVED.search(relative.lower()) is None

"""The arguments that name apps: ``main:app``, ``/api=api:app``, ``--websocket``, ``--interface``.

Declares them for every command that takes apps, and parses them into one
:class:`~bridge.cli.options.RequestedApp` each. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge._http.paths import shown
from bridge._http.prefixes import normal_prefix
from bridge.cli.command_help import argument, option
from bridge.cli.options import RequestedApp, UsageError
from bridge.errors import ConfigError
from bridge.types import Interface

__all__ = ["parse_targets", "takes_apps"]

F = TypeVar("F", bound=Callable[..., Any])

_MOUNTED = re.compile(r"(?P<prefix>/[^=:(]*)=(?P<target>.+)", re.DOTALL)
_WITHOUT_SLASH = re.compile(r"[\w-]*=")
_INTERFACES: dict[str, Interface] = {"wsgi": "wsgi", "asgi": "asgi"}

_SECTION = "App"
_TARGETS = argument(
    "targets",
    nargs=-1,
    metavar="[TARGET]...",
    help="The app: module:attr, \"module:factory('x')\", a module, a .py file, or a folder with "
    "manage.py (a Django project). To serve several apps together, mount each as /PREFIX=TARGET.",
)
_OPTIONS = (
    option(
        "--websocket",
        "websockets",
        multiple=True,
        metavar="[/PREFIX=]TARGET",
        section=_SECTION,
        help="An ASGI app that serves WebSocket connections only: those below a prefix or, without "
        "one, those that no other app accepts. Repeatable. Example: --websocket /ws=chat:app.",
    ),
    option(
        "--interface",
        "interfaces",
        multiple=True,
        metavar="[/PREFIX=]NAME",
        section=_SECTION,
        help="wsgi or asgi, for apps whose interface cannot be detected; with a prefix, only for "
        "the app mounted there. Repeatable. Example: --interface /api=wsgi.",
    ),
    option(
        "--app-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="PATH",
        section=_SECTION,
        help="The folder to import modules from. Default: the current directory.",
    ),
)


def takes_apps(command: F) -> F:
    """Add the arguments ``targets``, ``websockets``, ``interfaces`` and ``app_dir``."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return _TARGETS(command)


def parse_targets(
    targets: Sequence[str], websockets: Sequence[str] = (), interfaces: Sequence[str] = ()
) -> tuple[RequestedApp, ...]:
    """Parse the arguments that name apps.

    :param targets: ``TARGET`` or ``PREFIX=TARGET``.
    :param websockets: the same, for WebSocket connections only.
    :param interfaces: ``wsgi`` or ``asgi`` for all apps, ``PREFIX=wsgi`` for one.
    :raises UsageError: there is no app, a prefix is invalid, or two apps have the same prefix.
    """
    apps = [_parse_target(text, websocket=False) for text in targets]
    apps += [_parse_target(text, websocket=True) for text in websockets]
    if not apps:
        raise UsageError("no app given. Pass a target, for example main:app")
    _check_unique(apps)
    for text in interfaces:
        apps = _with_interface(apps, text)
    return tuple(apps)


def _check_unique(apps: Iterable[RequestedApp]) -> None:
    seen: dict[tuple[str, bool], str] = {}
    for app in apps:
        key = app.mount_path, app.websocket
        if key in seen:
            option = "--websocket " if app.websocket else ""
            first, second = option + seen[key], option + app.target
            raise UsageError(
                f"{first} and {second} cannot both be mounted at {app.mount_path}. Give each a "
                f"prefix, for example: {option}/={seen[key]} {option}/api={app.target}"
            )
        seen[key] = app.target


def _parse_target(text: str, *, websocket: bool) -> RequestedApp:
    mounted = _MOUNTED.fullmatch(text)
    if mounted is None:
        if _WITHOUT_SLASH.match(text):
            raise UsageError(f"{text}: a prefix starts with a slash, as in /{text}")
        return RequestedApp(prefix=None, target=text, websocket=websocket)
    prefix = _parse_prefix(mounted["prefix"], text)
    return RequestedApp(prefix=prefix, target=mounted["target"], websocket=websocket)


def _parse_prefix(prefix: str, text: str) -> str:
    try:
        return normal_prefix(prefix)
    except ConfigError as error:
        raise UsageError(f"{text}: {error}") from None


def _with_interface(apps: Sequence[RequestedApp], text: str) -> list[RequestedApp]:
    before, _, name = text.rpartition("=")
    interface = _INTERFACES.get(name)
    if interface is None:
        raise UsageError(
            f"--interface {text}: expected wsgi or asgi, or one of them with a prefix, "
            "such as /api=wsgi"
        )
    if not before:
        return [replace(app, interface=interface) for app in apps]
    prefix = _parse_prefix(before, text)
    found = [app for app in apps if not app.websocket and (app.prefix or "") == prefix]
    if not found:
        mounted = ", ".join(app.mount_path for app in apps if not app.websocket) or "nothing"
        raise UsageError(
            f"--interface {text}: no app is mounted at {shown(prefix)}. Mounted: {mounted}"
        )
    return [replace(app, interface=interface) if app in found else app for app in apps]

"""Which apps a command line asks for, and where they go: ``main:app``, ``/api=api:app``.

What enters: the words after ``bridge run``, and those of ``--websocket`` and ``--interface``. What
leaves: one :class:`Asked` for each app; or :class:`~bridge.cli.options.UsageError`. Also how typer
is to read them, for the commands that take apps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from bridge._http.paths import shown
from bridge.cli.options import UsageError
from bridge.errors import ConfigError
from bridge.router.prefixes import normal_prefix
from bridge.types import Interface

__all__ = ["AppDir", "Asked", "Interfaces", "Targets", "Websockets", "parse"]

_MOUNTED = re.compile(r"(?P<prefix>/[^=:(]*)=(?P<target>.+)", re.DOTALL)
_SLASHLESS = re.compile(r"[\w-]*=")
_INTERFACES: dict[str, Interface] = {"wsgi": "wsgi", "asgi": "asgi"}


_PANEL = "What the app is"

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET...",
        show_default=False,
        help="module:attr, \"module:factory('x')\", module, a .py file, or a folder with "
        "manage.py. Several are mounted together, each as /PREFIX=TARGET.",
    ),
]
Websockets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[/PREFIX=]TARGET",
        show_default=False,
        rich_help_panel=_PANEL,
        help="An ASGI app for WebSockets only, below a prefix or wherever no other takes them. "
        "Repeatable.",
    ),
]
Interfaces = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[/PREFIX=]NAME",
        show_default=False,
        rich_help_panel=_PANEL,
        help="wsgi or asgi, for apps that do not show it. Repeatable.",
    ),
]
AppDir = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        metavar="PATH",
        rich_help_panel=_PANEL,
        help="Where modules are. Default: here.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One app.

    :ivar prefix: a normal one, or None where none was given.
    :ivar target: see :mod:`bridge.cli.load.loader`.
    :ivar websocket: for WebSockets only.
    :ivar interface: where the user said it; None to look.
    """

    prefix: str | None
    target: str
    websocket: bool = False
    interface: Interface | None = None

    @property
    def place(self) -> str:
        """Its prefix as people write it."""
        return shown(self.prefix or "")


def parse(
    targets: Sequence[str], websockets: Sequence[str] = (), interfaces: Sequence[str] = ()
) -> tuple[Asked, ...]:
    """Read the command line.

    :param targets: ``TARGET`` or ``PREFIX=TARGET``.
    :param websockets: the same, for WebSockets.
    :param interfaces: ``wsgi`` and ``asgi``, for all, or ``PREFIX=wsgi``, for one.
    :raises UsageError: nothing is asked for, a prefix is wrong, or it is not clear where to mount.
    """
    asked = [_read(word, websocket=False) for word in targets]
    asked += [_read(word, websocket=True) for word in websockets]
    if not asked:
        raise UsageError("which app? For example: main:app")
    _refuse_twice(asked)
    for word in interfaces:
        asked = _with_interface(asked, word)
    return tuple(asked)


def _refuse_twice(asked: Iterable[Asked]) -> None:
    seen: dict[tuple[str, bool], str] = {}
    for each in asked:
        place = each.place, each.websocket
        if place in seen:
            option = "--websocket " if each.websocket else ""
            one, other = option + seen[place], option + each.target
            raise UsageError(
                f"{one} and {other} cannot both be at {each.place}. Say where each is mounted, for "
                f"example: {option}/={seen[place]} {option}/api={each.target}"
            )
        seen[place] = each.target


def _read(word: str, *, websocket: bool) -> Asked:
    mounted = _MOUNTED.fullmatch(word)
    if mounted is None:
        if _SLASHLESS.match(word):
            raise UsageError(f"{word}: a prefix begins with a slash, as in /{word}")
        return Asked(prefix=None, target=word, websocket=websocket)
    prefix = _prefix(mounted["prefix"], word)
    return Asked(prefix=prefix, target=mounted["target"], websocket=websocket)


def _prefix(text: str, word: str) -> str:
    try:
        return normal_prefix(text)
    except ConfigError as error:
        raise UsageError(f"{word}: {error}") from None


def _with_interface(asked: Iterable[Asked], word: str) -> list[Asked]:
    before, _, name = word.rpartition("=")
    interface = _INTERFACES.get(name)
    if interface is None:
        raise UsageError(f"--interface {word}: takes wsgi or asgi, or a prefix such as /api=wsgi")
    if not before:
        return [replace(each, interface=interface) for each in asked]
    prefix = _prefix(before, word)
    found = [each for each in asked if not each.websocket and (each.prefix or "") == prefix]
    if not found:
        places = ", ".join(each.place for each in asked if not each.websocket) or "nothing"
        raise UsageError(f"--interface {word}: nothing is mounted there. There is: {places}")
    return [replace(each, interface=interface) if each in found else each for each in asked]

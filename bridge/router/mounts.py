"""What a Router mounts: read from its arguments, checked, nested Routers opened up.

What enters: ``{prefix: app, ...}`` and ``websocket=``, as the user wrote them. What leaves: a
:class:`Plan`, with one table for HTTP and one for WebSockets; or an error that names the prefix.
Runs where the Router is made; starts nothing.

Rule 1. HTTP and WebSocket are two tables. An app given alone goes into the first, and if it is ASGI
        into the second.
Rule 2. Below the prefix of a WSGI app a WebSocket goes to what was mounted for WebSockets by name,
        at a shorter prefix. If there is no such thing it comes to the WSGI app, and is refused
        unless ``websocket_threads`` lets the app have it.
Rule 3. A nested Router is opened: its mounts become the outer one's, below its prefix. So there is
        one look-up, one pool and one life for all. What the inner one does not know is not found,
        as it would be if it were asked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from types import MethodType
from typing import Any, Literal, TypeAlias, cast

from bridge._http.paths import shown
from bridge._lifespan.runner import app_name
from bridge.asgi_to_wsgi.adapter import AsgiToWsgi
from bridge.config import one_of
from bridge.dual import Universal
from bridge.errors import AmbiguousApp, ConfigError
from bridge.interface import interface_of
from bridge.router.options import RouterOptions
from bridge.router.prefixes import PrefixTable, normal_prefix
from bridge.types import AsgiApp, Interface, WsgiApp
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi

__all__ = ["Alone", "AnyApp", "Mount", "Mounts", "PathSeen", "Place", "Plan", "identity", "plan"]

AnyApp: TypeAlias = AsgiApp | WsgiApp | Universal | Any
PathSeen = Literal["auto", "whole", "below"]

_IGNORE_ROOT_PATH = frozenset({"falcon.asgi.app.App", "sanic.app.Sanic"})
"""Frameworks that route by the whole ``path``, or ``raw_path``, whatever ``root_path`` says."""


@dataclass(frozen=True)
class Mount:
    """What a :class:`~bridge.Router` has at one prefix, where an app alone does not say enough.

    ::

        bridge.Router({"/": flask_app, "/live": bridge.Mount(http=page, websocket=chat)})

    :param http: the app that gets HTTP requests. None: a shorter prefix is asked.
    :param websocket: the ASGI app that gets WebSockets. None: a shorter prefix is asked.
    :param path: what an ASGI app finds in its scope's ``path``. ``"whole"``: with the prefix, which
        is in ``root_path``, too; so the ASGI spec says since 2.3. ``"below"``: what follows the
        prefix, for frameworks that do not look at ``root_path``. ``"auto"``: the second for Falcon
        and Sanic, which are such, and the first for all others.
    :raises ConfigError: there is no app, or ``path`` is something else.
    """

    http: AnyApp | None = None
    websocket: AnyApp | None = None
    _: KW_ONLY
    path: PathSeen = "auto"

    def __post_init__(self) -> None:
        one_of("path", self.path, ("auto", "whole", "below"))
        if self.http is None and self.websocket is None:
            raise ConfigError("Mount", None, "an app for http=, one for websocket=, or both")


class Alone(Mount):
    """An app that was given without saying for what: HTTP, and WebSockets if it can."""


Mounts: TypeAlias = Mapping[str, "AnyApp | Mount"]


@dataclass(frozen=True, eq=False)
class Place:
    """One app at one prefix, for one of the two protocols.

    :ivar app: None where nothing is found, whatever a shorter prefix has.
    :ivar asgi: how to call it natively on an ASGI server; None if it is WSGI.
    :ivar wsgi: how to call it natively on a WSGI server; None if it is ASGI.
    :ivar options: what holds for it: of the Router that it was given to, and of those around that.
    :ivar pool: the options of the Router whose threads run it, if it is WSGI.
    :ivar by_name: it was mounted for WebSockets, and for nothing else.
    """

    prefix: str
    app: AnyApp | None
    asgi: AsgiApp | None
    wsgi: WsgiApp | None
    options: RouterOptions
    pool: RouterOptions
    path: PathSeen = "auto"
    by_name: bool = False

    @property
    def interface(self) -> Interface:
        """Of the app itself."""
        return "wsgi" if self.asgi is None else "asgi"

    @property
    def sees_below(self) -> bool:
        """Whether the app's ``path`` begins after the prefix."""
        if self.path != "auto":
            return self.path == "below"
        return any(
            f"{each.__module__}.{each.__qualname__}" in _IGNORE_ROOT_PATH
            for each in type(self.app).__mro__
        )

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"the app mounted at {shown(self.prefix)!r}"


Table: TypeAlias = dict[str, Place]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a Router has to know of what it mounts.

    :ivar mounts: as they were given, in their order, by normal prefix.
    :ivar sockets: where ASGI apps take WebSockets.
    :ivar websocket: the same, and where they come to WSGI apps.
    :ivar members: the ASGI apps, each once, in the order in which they start.
    """

    mounts: tuple[tuple[str, Mount], ...]
    http: Table
    sockets: Table
    websocket: Table
    members: tuple[Place, ...]
    options: RouterOptions


def plan(mounts: object, websocket: object, options: RouterOptions) -> Plan:
    """Read what a Router was given.

    :raises ConfigError: a prefix is wrong or there twice, or nothing is mounted.
    :raises AmbiguousApp: an app's interface cannot be told. Names the prefix.
    """
    given = [*_read(mounts, "mounts"), *_read_websocket(websocket)]
    if not given:
        raise ConfigError(
            "mounts", mounts, "at least one app, as in {'/': app} or websocket={'/ws': app}"
        )
    _refuse_twice(given)
    http: dict[str, Place | Plan] = {}
    sockets: dict[str, Place | Plan] = {}
    for prefix, mount in given:
        if mount.http is not None:
            http[prefix] = _place(prefix, mount.http, mount, options)
        if mount.websocket is not None:
            sockets[prefix] = _place(prefix, mount.websocket, mount, options, by_name=True)
    for prefix, mount in given:
        if isinstance(mount, Alone) and _speaks_websocket(http[prefix]):
            sockets.setdefault(prefix, http[prefix])
    opened = _opened(http, "http", options), _opened(sockets, "sockets", options)
    return Plan(
        mounts=tuple(given),
        http=opened[0],
        sockets=opened[1],
        websocket={**opened[1], **_refused(*opened)},
        members=tuple(_members(given, http, sockets, options)),
        options=options,
    )


def identity(app: object) -> Hashable:
    """Tells apps apart, as long as they live.

    Python makes a method anew each time that ``site.app`` is written; it is one app all the same.
    """
    if isinstance(app, MethodType):
        return id(app.__self__), id(app.__func__)
    return id(app)


def _speaks_websocket(found: Place | Plan) -> bool:
    return isinstance(found, Plan) or found.asgi is not None


# -- reading ---------------------------------------------------------------------------------------


def _read(mounts: object, option: str) -> list[tuple[str, Mount]]:
    if not isinstance(mounts, Mapping):
        raise ConfigError(option, mounts, "a mapping of prefixes to apps, such as {'/api': app}")
    found = []
    for text, app in mounts.items():
        prefix = normal_prefix(text)
        if app is None:
            raise ConfigError(f"{option}[{text!r}]", app, "an app, or a bridge.Mount")
        found.append((prefix, app if isinstance(app, Mount) else Alone(http=app)))
    return found


def _read_websocket(websocket: object) -> list[tuple[str, Mount]]:
    if websocket is None:
        return []
    if not isinstance(websocket, Mapping):
        return [("", Mount(websocket=websocket))]
    found = []
    for prefix, mount in _read(websocket, "websocket"):
        if mount.websocket is not None:
            raise ConfigError(
                f"websocket[{shown(prefix)!r}]", mount, "an app: all there is for WebSockets"
            )
        found.append((prefix, Mount(websocket=mount.http, path=mount.path)))
    return found


def _refuse_twice(given: list[tuple[str, Mount]]) -> None:
    seen: dict[tuple[str, str], object] = {}
    for prefix, mount in given:
        for protocol in ("http", "websocket"):
            app = getattr(mount, protocol)
            if app is None:
                continue
            other = seen.setdefault((prefix, protocol), app)
            if identity(other) != identity(app):
                raise ConfigError(
                    "prefix",
                    shown(prefix),
                    f"one app for {protocol}, and there are two: {app_name(other)} and "
                    f"{app_name(app)}. '/a' and '/a/' are the same prefix",
                )


def _place(
    prefix: str, app: AnyApp, mount: Mount, options: RouterOptions, *, by_name: bool = False
) -> Place | Plan:
    inner = getattr(app, "plan", None) if isinstance(app, Universal) else None
    if isinstance(inner, Plan):  # a Router
        options.refuse_another_loop(inner.options.to_wsgi, shown(prefix))
        return inner
    place = Place(prefix, app, None, None, options, options, mount.path, by_name)
    if type(app) is AsgiToWsgi:  # it is ASGI inside: no need to cross twice
        options.refuse_another_loop(app.options, shown(prefix))
        own = {"lifespan": app.options.lifespan, "startup_timeout_s": app.options.startup_timeout_s}
        merged = RouterOptions({**options.given, **own})
        return replace(place, app=app.app, asgi=app.app, options=merged)
    if type(app) is WsgiToAsgi:
        return replace(place, asgi=app, wsgi=app.app)
    if isinstance(app, Universal):
        return replace(place, asgi=app, wsgi=app)
    if _interface(prefix, app, by_name) == "asgi":
        return replace(place, asgi=cast("AsgiApp", app))
    return replace(place, wsgi=cast("WsgiApp", app))


def _interface(prefix: str, app: AnyApp, by_name: bool) -> Interface:
    try:
        interface = interface_of(app)
    except AmbiguousApp as error:
        raise AmbiguousApp(f"mounted at {shown(prefix)!r}: {error}") from None
    if by_name and interface == "wsgi":
        raise ConfigError(
            f"websocket[{shown(prefix)!r}]", app, "an ASGI app: WSGI has no WebSockets"
        )
    return interface


# -- nested Routers --------------------------------------------------------------------------------


def _opened(table: Mapping[str, Place | Plan], which: str, options: RouterOptions) -> Table:
    """Every nested Router replaced by what it mounts."""
    owners = PrefixTable({prefix: prefix for prefix in table})
    opened: Table = {}
    for prefix, found in table.items():
        if isinstance(found, Place):
            opened[prefix] = found
            continue
        for place in _inner(prefix, found, which, options):
            if owners.find(place.prefix or "/") == prefix:  # else a longer one of ours hides it
                opened[place.prefix] = place
    return opened


def _inner(prefix: str, inner: Plan, which: str, options: RouterOptions) -> Iterator[Place]:
    table: Table = getattr(inner, which)
    for place in table.values():
        yield _nested(prefix, place, inner, options)
    if table and "" not in table and not (which == "sockets" and "" in inner.http):
        yield Place(prefix, None, None, None, options, options)


def _nested(prefix: str, place: Place, inner: Plan, options: RouterOptions) -> Place:
    """A place of the inner Router as one of the outer."""
    own_pool = place.pool is not inner.options or inner.options.for_to_asgi
    return replace(
        place,
        prefix=prefix + place.prefix,
        options=RouterOptions({**options.given, **place.options.given}),
        pool=place.pool if own_pool else options,
    )


def _refused(http: Table, sockets: Table) -> Table:
    """Rule 2: the WSGI apps that a WebSocket comes to."""
    table = PrefixTable(sockets)
    refused = {}
    for prefix, place in http.items():
        if place.wsgi is None or place.asgi is not None or prefix in sockets:
            continue
        above = table.find(prefix or "/")
        if above is None or not above.by_name:
            refused[prefix] = place
    return refused


# -- lifespans -------------------------------------------------------------------------------------


def _members(
    given: list[tuple[str, Mount]],
    http: Mapping[str, Place | Plan],
    sockets: Mapping[str, Place | Plan],
    options: RouterOptions,
) -> Iterator[Place]:
    seen: set[Hashable] = set()
    for prefix, mount in given:
        found = [http[prefix]] if mount.http is not None else []
        found += [sockets[prefix]] if mount.websocket is not None else []
        for place in (place for each in found for place in _places(prefix, each, options)):
            if place.asgi is not None and identity(place.asgi) not in seen:
                seen.add(identity(place.asgi))
                yield place


def _places(prefix: str, found: Place | Plan, options: RouterOptions) -> Iterator[Place]:
    if isinstance(found, Place):
        yield found
    else:
        for place in found.members:
            yield _nested(prefix, place, found, options)

"""What a Router mounts: read from its arguments, checked, with nested Routers flattened.

Input: ``{prefix: app, ...}`` and ``websocket=``, as the user wrote them. Output: a :class:`Plan`,
with one table for HTTP and one for WebSockets; or an error that names the prefix. Runs where the
Router is made; starts nothing.

Rule 1. HTTP and WebSocket have separate tables. An app without a :class:`Mount` is entered in the
        first one, and if it is ASGI also in the second.
Rule 2. Below the prefix of a WSGI app, a WebSocket goes to the app that is mounted for WebSockets
        only at a shorter prefix. If there is none, it goes to the WSGI app, and is refused unless
        ``websocket_threads`` lets the app have it.
Rule 3. A nested Router is flattened: its mounts become the outer Router's, below its prefix. So
        there is one look-up, one pool and one lifespan for all of them. A path that the inner
        Router does not mount is answered with 404, as the inner Router would.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType, MethodType
from typing import Any, TypeAlias, cast

from bridge._frameworks.facts import ignores_root_path
from bridge._http.paths import shown
from bridge._http.prefixes import PrefixTable, normal_prefix
from bridge._lifespan.runner import app_name
from bridge.config import ToWsgiOptions
from bridge.dual import Universal
from bridge.errors import AmbiguousApp, ConfigError
from bridge.interface import interface_of
from bridge.router.mount import AnyApp, ImplicitMount, Mount, VisiblePath
from bridge.router.options import RouterOptions
from bridge.types import AsgiApp, Interface, WsgiApp

__all__ = [
    "Contents",
    "Mounts",
    "OpenAdapter",
    "Place",
    "Plan",
    "identity",
    "read_mounts",
]


Mounts: TypeAlias = Mapping[str, "AnyApp | Mount"]


@dataclass(frozen=True)
class Contents:
    """How to call an app, or what an adapter contains, without converting twice.

    :ivar app: the app that is mounted in place of the adapter.
    :ivar asgi: how to call it on an ASGI server; None if it has to be converted there.
    :ivar wsgi: how to call it on a WSGI server; None if it has to be converted there.
    :ivar options: those that take precedence over the Router's, by name.
    :ivar loop: the adapter's options for its event loop; None if it has none.
    """

    app: AnyApp
    asgi: AsgiApp | None
    wsgi: WsgiApp | None
    options: Mapping[str, Any] = field(default_factory=dict)
    loop: ToWsgiOptions | None = None


OpenAdapter: TypeAlias = Callable[[AnyApp], Contents | None]
"""Returns what an adapter contains; None for anything else."""


@dataclass(frozen=True, eq=False)
class Place:
    """One app at one prefix, for HTTP or for WebSockets.

    :ivar app: None where every path is answered with 404, whatever a shorter prefix has.
    :ivar asgi: how to call it on an ASGI server; None if it is WSGI.
    :ivar wsgi: how to call it on a WSGI server; None if it is ASGI.
    :ivar options: of the Router that mounts it, and of those around that one.
    :ivar pool: the options of the Router, or of the mount, whose threads run it, if it is WSGI.
    :ivar pool_root: where that Router or mount is.
    :ivar bulkhead: the most threads that its mount allows it; None if the mount has no options.
    :ivar by_name: it is mounted for WebSockets only.
    """

    prefix: str
    app: AnyApp | None
    asgi: AsgiApp | None
    wsgi: WsgiApp | None
    options: RouterOptions
    pool: RouterOptions
    path: VisiblePath = "auto"
    by_name: bool = False
    pool_root: str = ""
    bulkhead: int | None = None

    @property
    def is_called_on_loop(self) -> bool:
        """Whether WSGI servers call it as an ASGI app, on a loop, and need its lifespan."""
        return self.asgi is not None and self.wsgi is None

    @property
    def sees_below(self) -> bool:
        """Whether the app's ``path`` begins after the prefix."""
        return ignores_root_path(self.app) if self.path == "auto" else self.path == "below"

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"the app mounted at {shown(self.prefix)!r}"


Table: TypeAlias = dict[str, Place]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a Router mounts.

    :ivar mounts: as they were given, in their order, by normal prefix.
    :ivar http: the apps that get HTTP requests.
    :ivar asgi_websocket: the ASGI apps that get WebSockets.
    :ivar websocket: the same, and the WSGI apps that WebSockets reach (Rule 2).
    :ivar asgi_apps: each ASGI app once, in the order in which they start.
    """

    mounts: tuple[tuple[str, Mount], ...]
    http: Table
    asgi_websocket: Table
    websocket: Table
    asgi_apps: tuple[Place, ...]
    options: RouterOptions


def read_mounts(
    mounts: object, websocket: object, options: RouterOptions, open_adapter: OpenAdapter
) -> Plan:
    """Read the arguments of a Router.

    :raises ConfigError: a prefix is wrong or has two apps, or nothing is mounted.
    :raises AmbiguousApp: the interface of an app cannot be detected. Names the prefix.
    """
    given = [*_read(mounts, "mounts"), *_read_websocket(websocket)]
    if not given:
        raise ConfigError(
            "mounts", mounts, "at least one app, as in {'/': app} or websocket={'/ws': app}"
        )
    _check_prefixes_differ(given)
    reader = _PlaceReader(options, open_adapter)
    http: dict[str, Place | Plan] = {}
    sockets: dict[str, Place | Plan] = {}
    for prefix, mount in given:
        if mount.http is not None:
            http[prefix] = reader.read(prefix, mount.http, mount.path, own=mount.options)
        if mount.websocket is not None:
            sockets[prefix] = reader.read(prefix, mount.websocket, mount.path, by_name=True)
    for prefix, mount in given:
        if isinstance(mount, ImplicitMount) and _accepts_websockets(http[prefix]):
            sockets.setdefault(prefix, http[prefix])
    flat_http = _flatten(http, "http", options)
    flat_sockets = _flatten(sockets, "asgi_websocket", options)
    return Plan(
        mounts=tuple(given),
        http=flat_http,
        asgi_websocket=flat_sockets,
        websocket={**flat_sockets, **_reached_wsgi_apps(flat_http, flat_sockets)},
        asgi_apps=tuple(_asgi_apps(given, http, sockets, options)),
        options=options,
    )


def identity(app: object) -> Hashable:
    """Distinguishes apps, as long as they exist.

    Python makes a method anew each time that ``site.app`` is evaluated; it is still the same app.
    """
    if isinstance(app, MethodType):
        return id(app.__self__), id(app.__func__)
    return id(app)


def _accepts_websockets(found: Place | Plan) -> bool:
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
        found.append((prefix, app if isinstance(app, Mount) else ImplicitMount(http=app)))
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
                f"websocket[{shown(prefix)!r}]",
                mount,
                "an app: everything in websocket= is for WebSockets",
            )
        found.append((prefix, Mount(websocket=mount.http, path=mount.path)))
    return found


def _check_prefixes_differ(given: list[tuple[str, Mount]]) -> None:
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
                    f"one app for {protocol}, but has two: {app_name(other)} and "
                    f"{app_name(app)}. '/a' and '/a/' are the same prefix",
                )


@dataclass(frozen=True)
class _PlaceReader:
    """Decides how an app is called on each kind of server."""

    options: RouterOptions
    open_adapter: OpenAdapter

    def read(
        self,
        prefix: str,
        app: AnyApp,
        path: VisiblePath,
        *,
        by_name: bool = False,
        own: Mapping[str, Any] = MappingProxyType({}),
    ) -> Place | Plan:
        """
        :param own: the options of the mount.
        :returns: the Plan of a nested Router, or the Place of any other app.
        """
        inner = getattr(app, "plan", None) if isinstance(app, Universal) else None
        if isinstance(inner, Plan):
            _refuse_options(own, prefix, "pass it to the Router that is mounted there")
            self.options.check_same_loop(inner.options.to_wsgi, shown(prefix))
            return inner
        contents = self.open_adapter(app) or _native(prefix, app, by_name)
        options = pool = self.options
        if own:
            if contents.asgi is not None:
                _refuse_options(own, prefix, "only a WSGI app without an adapter takes it")
            options = pool = self._with_threads(own)
        if contents.loop is not None:
            options.check_same_loop(contents.loop, shown(prefix))
        if contents.options:
            options = RouterOptions({**options.given, **contents.options})
        return Place(
            prefix,
            contents.app,
            contents.asgi,
            contents.wsgi,
            options,
            pool,
            path,
            by_name,
            pool_root=prefix if own else "",
            bulkhead=own.get("threads"),
        )

    def _with_threads(self, own: Mapping[str, Any]) -> RouterOptions:
        """The options of a mount that has some: its app has threads of its own."""
        given = self.options.given
        but = {"limits", "executor"}
        if "executor" in own:  # it decides how many threads run
            but.add("loop_lag_target_s")
        return RouterOptions({**{n: given[n] for n in given if n not in but}, **own})


def _refuse_options(own: Mapping[str, Any], prefix: str, hint: str) -> None:
    """
    :raises ConfigError: the mount has options. Names one, and why it has no effect.
    """
    for option, value in own.items():
        raise ConfigError(option, value, f"no value in the Mount at {shown(prefix)!r}: {hint}")


def _native(prefix: str, app: AnyApp, by_name: bool) -> Contents:
    if isinstance(app, Universal):
        return Contents(app, asgi=app, wsgi=app, options=app.mount_options)
    if _interface(prefix, app, by_name) == "asgi":
        return Contents(app, asgi=cast("AsgiApp", app), wsgi=None)
    return Contents(app, asgi=None, wsgi=cast("WsgiApp", app))


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


def _flatten(table: Mapping[str, Place | Plan], which: str, options: RouterOptions) -> Table:
    """Replace every nested Router by what it mounts."""
    owners = PrefixTable({prefix: prefix for prefix in table})
    flat: Table = {}
    for prefix, found in table.items():
        if isinstance(found, Place):
            flat[prefix] = found
            continue
        for place in _places_below(prefix, found, which, options):
            if owners.find(place.prefix or "/") == prefix:  # else a longer outer prefix hides it
                flat[place.prefix] = place
    return flat


def _places_below(prefix: str, inner: Plan, which: str, options: RouterOptions) -> Iterator[Place]:
    table: Table = getattr(inner, which)
    for place in table.values():
        yield _in_outer_router(prefix, place, inner, options)
    if table and "" not in table and not (which == "asgi_websocket" and "" in inner.http):
        yield Place(prefix, None, None, None, options, options)


def _in_outer_router(prefix: str, place: Place, inner: Plan, options: RouterOptions) -> Place:
    """A place of the inner Router as one of the outer Router."""
    has_own_pool = place.pool is not inner.options or inner.options.for_to_asgi
    return replace(
        place,
        prefix=prefix + place.prefix,
        options=RouterOptions({**options.given, **place.options.given}),
        pool=place.pool if has_own_pool else options,
        pool_root=prefix + place.pool_root if has_own_pool else "",
    )


def _reached_wsgi_apps(http: Table, sockets: Table) -> Table:
    """The WSGI apps that WebSockets reach: Rule 2."""
    table = PrefixTable(sockets)
    reached = {}
    for prefix, place in http.items():
        if place.wsgi is None or place.asgi is not None or prefix in sockets:
            continue
        above = table.find(prefix or "/")
        if above is None or not above.by_name:
            reached[prefix] = place
    return reached


# -- lifespans -------------------------------------------------------------------------------------


def _asgi_apps(
    given: list[tuple[str, Mount]],
    http: Mapping[str, Place | Plan],
    sockets: Mapping[str, Place | Plan],
    options: RouterOptions,
) -> Iterable[Place]:
    apps: dict[Hashable, Place] = {}
    for prefix, mount in given:
        found = [http[prefix]] if mount.http is not None else []
        found += [sockets[prefix]] if mount.websocket is not None else []
        for place in (place for each in found for place in _places(prefix, each, options)):
            if place.asgi is None:
                continue
            apps.setdefault(identity(place.asgi), place)
    return apps.values()


def _places(prefix: str, found: Place | Plan, options: RouterOptions) -> Iterator[Place]:
    if isinstance(found, Place):
        yield found
    else:
        for place in found.asgi_apps:
            yield _in_outer_router(prefix, place, found, options)

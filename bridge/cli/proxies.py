"""``--trusted`` and ``--proxy-headers``: the client of a request behind proxies.

Works in the same way on every server, whose own handling of these headers is switched off. The
wrapped apps run where the server calls the app.

From a peer that is trusted, the named headers are read (`bridge._http.forwarded`). From any other
peer all of them are removed, so that an app that reads them by itself is not deceived. They change
the scope or environ that the server has made, not a copy, so that its access log shows the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass

from bridge._http.forwarded import FORWARDED, HEADERS, UNIX, Report, Trusted, read_report
from bridge._http.prefixes import normal_prefix
from bridge.cli.options import UsageError
from bridge.cli.root_path import mount_asgi, mount_wsgi
from bridge.errors import ConfigError
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["DEFAULT_HEADERS", "Proxies", "behind_proxies_asgi", "behind_proxies_wsgi"]

DEFAULT_HEADERS = ("x-forwarded-for", "x-forwarded-proto")

_BY_BYTES = {name.encode(): name for name in HEADERS}
_BY_KEY = {f"HTTP_{name.upper().replace('-', '_')}": name for name in HEADERS}


@dataclass(frozen=True, kw_only=True)
class Proxies:
    """The trusted proxies, and the headers that they set. Pure data, for `AppSpec`.

    :ivar trusted: addresses, networks, and ``unix``. Empty: none is trusted.
    :ivar headers: lower-case names.
    :ivar unix: whether the server listens on a Unix socket, so that peers have no address.
    """

    trusted: tuple[str, ...] = ()
    headers: tuple[str, ...] = DEFAULT_HEADERS
    unix: bool = False

    @classmethod
    def parse(
        cls, trusted: Iterable[str], headers: Iterable[str], *, unix: bool, root_path: str
    ) -> Proxies:
        """Check what the options give.

        :param unix: whether ``--uds`` is given.
        :param root_path: the value of ``--root-path``.
        :raises UsageError: a value is wrong, or does not fit the other options.
        """
        names, addresses = tuple(name.lower() for name in headers), tuple(trusted)
        _check_trusted(addresses, unix=unix)
        if names and not addresses:
            raise UsageError("--proxy-headers needs --trusted: the addresses of the proxies")
        for name in names:
            if name not in HEADERS:
                raise UsageError(f"--proxy-headers: expected {', '.join(HEADERS)}, not {name!r}")
        if FORWARDED in names and len(set(names)) > 1:
            raise UsageError(
                "--proxy-headers: forwarded and the x-forwarded-* headers cannot be combined: they "
                "may contradict each other"
            )
        if root_path and "x-forwarded-prefix" in names:
            raise UsageError("--root-path and --proxy-headers x-forwarded-prefix: choose one")
        return cls(trusted=addresses, headers=names or DEFAULT_HEADERS, unix=unix)

    @property
    def changes_requests(self) -> bool:
        """Whether any request may be changed."""
        return self.unix or bool(self.trusted)


def _check_trusted(addresses: tuple[str, ...], *, unix: bool) -> None:
    try:
        trusted = Trusted.parse(addresses)
    except ValueError as error:
        raise UsageError(
            "--trusted: expected an address such as 10.0.0.5, a network such as 10.0.0.0/8, or "
            f"unix, not {error.args[0]!r}"
        ) from None
    if unix and addresses and not trusted.unix:
        raise UsageError(f"--trusted: peers of --uds have no address. Trust them by {UNIX}")
    if trusted.unix and not unix:
        raise UsageError(f"--trusted {UNIX} is for servers that listen on a Unix socket: --uds")


def behind_proxies_asgi(app: AsgiApp, proxies: Proxies) -> AsgiApp:
    """``app``, with the client, scheme and host that trusted proxies report in its scopes."""
    if not proxies.changes_requests:
        return app
    trusted, believed = Trusted.parse(proxies.trusted), frozenset(proxies.headers)

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return app(scope, receive, send)
        client = scope.get("client")
        peer = None if proxies.unix else client[0] if client else ""
        if proxies.unix:
            scope["client"] = None
        if not proxies.trusted:
            return app(scope, receive, send)
        fields = _fields_of(scope)
        if not fields:
            return app(scope, receive, send)
        if not trusted.trusts_peer(peer):
            scope["headers"] = [each for each in scope["headers"] if each[0] not in _BY_BYTES]
            return app(scope, receive, send)
        scheme = scope["scheme"].replace("ws", "http")
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        report = read_report(fields, believed, trusted, scheme, host.decode("latin-1"))
        _change_scope(scope, report)
        return mount_asgi(app, _prefix(report))(scope, receive, send)

    return asgi


def _fields_of(scope: Scope) -> dict[str, str]:
    fields: dict[str, str] = {}
    for raw_name, value in scope["headers"]:
        name = _BY_BYTES.get(raw_name)
        if name is not None:
            text = value.decode("latin-1")
            fields[name] = f"{fields[name]},{text}" if name in fields else text
    return fields


def _change_scope(scope: Scope, report: Report) -> None:
    if report.has_client:
        scope["client"] = None if report.host is None else (report.host, report.port)
    if report.scheme is not None:
        is_websocket = scope["type"] == "websocket"
        scope["scheme"] = report.scheme.replace("http", "ws") if is_websocket else report.scheme
    if report.authority is not None:
        others = [each for each in scope["headers"] if each[0] != b"host"]
        scope["headers"] = [(b"host", report.authority.encode("latin-1")), *others]
    if report.server_port is not None and scope.get("server"):
        scope["server"] = (scope["server"][0], report.server_port)


def behind_proxies_wsgi(app: WsgiApp, proxies: Proxies) -> WsgiApp:
    """``app``, with the client, scheme and host that trusted proxies report in its environ."""
    if not proxies.changes_requests:
        return app
    trusted, believed = Trusted.parse(proxies.trusted), frozenset(proxies.headers)

    def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        peer = None if proxies.unix else environ.get("REMOTE_ADDR", "")
        if proxies.unix:
            _set_client(environ, "", 0)
        if not proxies.trusted:
            return app(environ, start_response)
        fields = {name: environ[key] for key, name in _BY_KEY.items() if key in environ}
        if not fields:
            return app(environ, start_response)
        if not trusted.trusts_peer(peer):
            for key in _BY_KEY:
                environ.pop(key, None)
            return app(environ, start_response)
        scheme, host = environ["wsgi.url_scheme"], environ.get("HTTP_HOST", "")
        report = read_report(fields, believed, trusted, scheme, host)
        _change_environ(environ, report)
        return mount_wsgi(app, _prefix(report))(environ, start_response)

    return wsgi


def _change_environ(environ: Environ, report: Report) -> None:
    if report.has_client:
        _set_client(environ, report.host or "", report.port)
    if report.scheme is not None:
        environ["wsgi.url_scheme"] = report.scheme
    if report.authority is not None:
        environ["HTTP_HOST"] = report.authority
    if report.server_port is not None:
        environ["SERVER_PORT"] = str(report.server_port)


def _set_client(environ: Environ, host: str, port: int) -> None:
    environ["REMOTE_ADDR"] = host
    environ.pop("REMOTE_HOST", None)
    if host:
        environ["REMOTE_PORT"] = str(port)
    else:
        environ.pop("REMOTE_PORT", None)


def _prefix(report: Report) -> str:
    """The reported prefix, as a normal one; empty if it is not a path."""
    try:
        return normal_prefix(f"/{(report.prefix or '').strip('/')}")
    except ConfigError:
        return ""

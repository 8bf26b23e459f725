"""How a mounted app sees its prefix, in scopes and in environs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of

pytestmark = pytest.mark.usefixtures("close_apps")


class AsgiSpy:
    """An ASGI app that records its scopes."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.scopes.append(scope)
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"asgi"})

    def seen(self) -> tuple[str, str, bytes]:
        """root_path, path and raw_path of the only request."""
        (scope,) = self.scopes
        return scope["root_path"], scope["path"], scope["raw_path"]


class WsgiSpy:
    """A WSGI app that records its environs."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"wsgi"]

    def seen(self) -> tuple[str, str]:
        """SCRIPT_NAME and PATH_INFO of the only request."""
        (environ,) = self.environs
        return environ["SCRIPT_NAME"], environ["PATH_INFO"]


def router(mounts: dict[str, Any], **options: Any) -> bridge.Router:
    return bridge.Router(mounts, lifespan="off", **options)


# (mounted at, server's root_path, path in scope, root_path seen, path seen)
SEEN = [
    ("/", "", "/x", "", "/x"),
    ("/api", "", "/api", "/api", "/api"),
    ("/api", "", "/api/", "/api", "/api/"),
    ("/api", "", "/api/x", "/api", "/api/x"),
    ("/api", "/proxy", "/proxy/api/x", "/proxy/api", "/proxy/api/x"),
    ("/api", "/proxy/", "/proxy/api/x", "/proxy/api", "/proxy/api/x"),
    ("/api", "proxy", "/proxy/api/x", "/proxy/api", "/proxy/api/x"),
    ("/api", "/", "/api/x", "/api", "/api/x"),
    ("/api", "/api", "/api/api/x", "/api/api", "/api/api/x"),
    # Servers that take the root path off: it is put back.
    ("/api", "/proxy", "/api/x", "/proxy/api", "/proxy/api/x"),
    # At the root nothing is touched, whatever the server does.
    ("/", "/proxy", "/x", "/proxy", "/x"),
    ("/", "/proxy", "/proxy/x", "/proxy", "/proxy/x"),
    ("/café", "", "/café/é", "/café", "/café/é"),
]


@pytest.mark.parametrize(("at", "root", "path", "root_seen", "path_seen"), SEEN)
def test_an_asgi_app_sees_its_prefix_in_root_path_and_in_path(
    at: str, root: str, path: str, root_seen: str, path_seen: str
) -> None:
    app = AsgiSpy()

    asgi.call(router({at: app}), http_scope(path=path, root_path=root))

    assert app.seen()[:2] == (root_seen, path_seen)


@pytest.mark.parametrize(("at", "root", "path", "root_seen", "path_seen"), SEEN)
def test_a_wsgi_app_sees_the_same_on_an_asgi_server(
    at: str, root: str, path: str, root_seen: str, path_seen: str
) -> None:
    app = WsgiSpy()

    asgi.call(router({at: app}), http_scope(path=path, root_path=root))

    script_name, path_info = app.seen()
    rest = path_seen[len(root_seen) :] if path_seen.startswith(root_seen) else path_seen
    assert script_name.encode("latin-1").decode() == root_seen
    assert path_info.encode("latin-1").decode() == rest


@pytest.mark.parametrize(
    ("at", "script_name", "path_info", "seen"),
    [
        ("/", "", "/x", ("", "/x")),
        ("/shop", "", "/shop", ("/shop", "")),
        ("/shop", "", "/shop/", ("/shop", "/")),
        ("/shop", "", "/shop/x", ("/shop", "/x")),
        ("/shop", "/proxy", "/shop/x", ("/proxy/shop", "/x")),
        ("/caf\u00e9", "", "/caf\u00c3\u00a9/x", ("/caf\u00c3\u00a9", "/x")),
    ],
)
def test_a_wsgi_app_on_a_wsgi_server_sees_its_prefix_in_script_name(
    at: str, script_name: str, path_info: str, seen: tuple[str, str]
) -> None:
    app = WsgiSpy()

    wsgi.call(router({at: app}), environ_of(path=path_info, SCRIPT_NAME=script_name))

    assert app.seen() == seen


@pytest.mark.parametrize(
    ("at", "script_name", "path_info", "seen"),
    [
        ("/", "", "/x", ("", "/x", b"/x")),
        ("/api", "", "/api/x", ("/api", "/api/x", b"/api/x")),
        ("/api", "/proxy", "/api/x", ("/proxy/api", "/proxy/api/x", b"/proxy/api/x")),
        (
            "/caf\u00e9",
            "",
            "/caf\u00c3\u00a9",
            ("/caf\u00e9", "/caf\u00e9", b"/caf%C3%A9"),
        ),
    ],
)
def test_an_asgi_app_sees_the_same_on_a_wsgi_server(
    at: str, script_name: str, path_info: str, seen: tuple[str, str, bytes]
) -> None:
    app = AsgiSpy()

    wsgi.call(router({at: app}), environ_of(path=path_info, SCRIPT_NAME=script_name))

    assert app.seen() == seen


@pytest.mark.parametrize("path", ["/apple", "/ap", "/", "/App/x", "//app/x"])
def test_a_path_that_only_begins_like_a_prefix_is_not_found(path: str) -> None:
    app = router({"/app": AsgiSpy(), "/wsgi": WsgiSpy()})

    assert asgi.call(app, http_scope(path=path)).status == 404
    assert wsgi.call(app, environ_of(path=path)).status == 404


@pytest.mark.parametrize("path", ["app", "app/x", "http://a.example/app/x", "://a.example/app"])
@pytest.mark.parametrize("at", ["/app", "/"])
def test_a_target_that_is_not_a_path_is_below_no_prefix(at: str, path: str) -> None:
    """hypercorn and daphne pass on a whole URI, waitress what has no slash."""
    native, crossed = AsgiSpy(), WsgiSpy()
    for app in (router({at: native}), router({at: crossed})):
        assert asgi.call(app, http_scope(path=path)).status == 400
        assert wsgi.call(app, environ_of(path=path), validate=False).status == 400

    assert native.scopes == crossed.environs == []


@pytest.mark.parametrize("root", ["", "/proxy", "/proxy/"])
@pytest.mark.parametrize("visible", ["whole", "below"])
def test_the_asterisk_of_options_goes_to_the_root_as_it_is(root: str, visible: Any) -> None:
    native, crossed = AsgiSpy(), WsgiSpy()
    scope = http_scope("OPTIONS", path="*", root_path=root)
    environ = environ_of("OPTIONS", path="*", SCRIPT_NAME=root)

    for app in (native, crossed):
        mounted = router({"/": bridge.Mount(http=app, path=visible)})
        assert asgi.call(mounted, scope).status == 200
        assert wsgi.call(mounted, {**environ}, validate=False).status == 200

    assert {(scope["path"], scope["raw_path"]) for scope in native.scopes} == {("*", b"*")}
    assert {environ["PATH_INFO"] for environ in crossed.environs} == {"*"}
    assert asgi.call(router({"/app": native}), scope).status == 404


def test_not_found_has_a_body_except_for_head() -> None:
    app = router({"/app": AsgiSpy()})
    found = [asgi.call(app, http_scope(method=method, path="/")) for method in ("GET", "HEAD")]
    found += [wsgi.call(app, environ_of(method=method, path="/")) for method in ("GET", "HEAD")]

    assert [response.body for response in found] == [b"Not Found\n", b"", b"Not Found\n", b""]


def test_an_encoded_slash_stays_encoded_in_raw_path_and_raw_uri() -> None:
    native, crossed = AsgiSpy(), WsgiSpy()
    app = router({"/a": native, "/w": crossed})

    asgi.call(app, http_scope(path="/a/b/c", raw_path=b"/a/b%2Fc"))
    asgi.call(app, http_scope(path="/w/b/c", raw_path=b"/w/b%2Fc"))

    assert native.seen() == ("/a", "/a/b/c", b"/a/b%2Fc")
    assert crossed.seen() == ("/w", "/b/c")
    assert crossed.environs[0]["RAW_URI"] == "/w/b%2Fc"


def test_an_encoded_path_is_kept_if_the_server_has_removed_the_root_path() -> None:
    app = AsgiSpy()
    scope = http_scope(path="/a/b/c", raw_path=b"/a/b%2Fc", root_path="/my proxy")

    asgi.call(router({"/a": app}), scope)

    assert app.seen() == ("/my proxy/a", "/my proxy/a/b/c", b"/my%20proxy/a/b%2Fc")


def test_the_servers_scope_is_not_changed() -> None:
    scope = http_scope(path="/api/x", root_path="")
    before = {**scope}

    asgi.call(router({"/api": AsgiSpy()}), scope)

    assert scope == before


def test_at_the_root_the_app_gets_the_servers_own_scope() -> None:
    app, scope = AsgiSpy(), http_scope(path="/x")

    asgi.call(router({"/": app, "/other": WsgiSpy()}), scope)

    assert app.scopes[0] is scope


# (path in scope, raw_path, path seen, raw_path seen)
@pytest.mark.parametrize(
    ("path", "raw", "path_seen", "raw_seen"),
    [
        ("/f", b"/f", "/", b"/"),
        ("/f/", b"/f/", "/", b"/"),
        ("/f/x/y", b"/f/x%2Fy", "/x/y", b"/x%2Fy"),
        ("/f/é", b"/%66/%C3%A9", "/é", b"/%C3%A9"),
        ("/f/x", None, "/x", None),
    ],
)
def test_an_app_that_ignores_root_path_can_get_the_path_below_it(
    path: str, raw: bytes | None, path_seen: str, raw_seen: bytes | None
) -> None:
    app = AsgiSpy()
    mounted = router({"/f": bridge.Mount(http=app, path="below")})

    asgi.call(mounted, http_scope(path=path, raw_path=raw))

    assert app.seen() == ("/f", path_seen, raw_seen)


def test_an_app_at_the_root_can_get_the_path_below_the_servers_root_path() -> None:
    app = AsgiSpy()
    mounted = router({"/": bridge.Mount(http=app, path="below")})

    asgi.call(mounted, http_scope(path="/proxy/x", root_path="/proxy/"))

    assert app.seen() == ("/proxy", "/x", b"/x")


def test_an_encoded_slash_in_the_prefix_is_stripped_correctly() -> None:
    app = AsgiSpy()
    mounted = router({"/f/g": bridge.Mount(http=app, path="below")})

    asgi.call(mounted, http_scope(path="/f/g/x y", raw_path=b"/f%2Fg/x%20y"))

    assert app.seen() == ("/f/g", "/x y", b"/x%20y")


# -- nesting ---------------------------------------------------------------------------------------


def nested(app: AsgiApp | WsgiApp) -> bridge.Router:
    return router({"/v1": router({"/shop": router({"/": app, "/admin": app})})})


@pytest.mark.parametrize(
    ("path", "root_seen"), [("/v1/shop/x", "/v1/shop"), ("/v1/shop/admin/x", "/v1/shop/admin")]
)
def test_prefixes_of_nested_routers_add_up(path: str, root_seen: str) -> None:
    on_asgi, on_wsgi = AsgiSpy(), AsgiSpy()

    asgi.call(nested(on_asgi), http_scope(path=path))
    wsgi.call(nested(on_wsgi), environ_of(path=path))

    assert on_asgi.seen() == on_wsgi.seen() == (root_seen, path, path.encode())


@pytest.mark.parametrize("path", ["/v1/shop/admin/x", "/v1/shop/admin"])
def test_wsgi_apps_of_nested_routers_see_the_whole_prefix(path: str) -> None:
    on_asgi, on_wsgi = WsgiSpy(), WsgiSpy()

    asgi.call(nested(on_asgi), http_scope(path=path))
    wsgi.call(nested(on_wsgi), environ_of(path=path))

    expected = ("/v1/shop/admin", path.removeprefix("/v1/shop/admin"))
    assert on_asgi.seen() == on_wsgi.seen() == expected


def answers(app: bridge.Router, path: str) -> tuple[bytes, bytes]:
    """The answers of the router on both kinds of server."""
    on_asgi = asgi.call(app, http_scope(path=path))
    return on_asgi.body, wsgi.call(app, environ_of(path=path)).body


def test_a_path_that_a_nested_router_does_not_mount_is_not_found() -> None:
    inner = router({"/known": WsgiSpy()})
    app = router({"/": AsgiSpy(), "/inner": inner})

    assert answers(app, "/inner/known") == (b"wsgi", b"wsgi")
    assert answers(app, "/inner/unknown") == (b"Not Found\n", b"Not Found\n")
    assert answers(app, "/elsewhere") == (b"asgi", b"asgi")


def test_a_longer_prefix_of_the_outer_router_hides_the_inner_one() -> None:
    inner = router({"/": AsgiSpy(), "/x": AsgiSpy(), "/x/y": AsgiSpy()})
    app = router({"/v1": inner, "/v1/x": WsgiSpy()})

    assert answers(app, "/v1/x/y") == (b"wsgi", b"wsgi")
    assert answers(app, "/v1/z") == (b"asgi", b"asgi")


def test_universal_apps_are_mounted_as_their_own_interface() -> None:
    native, crossed = AsgiSpy(), WsgiSpy()
    app = router({"/a": bridge.universal(native), "/w": bridge.universal(crossed)})

    assert answers(app, "/a/x") == (b"asgi", b"asgi")
    assert answers(app, "/w/x") == (b"wsgi", b"wsgi")
    assert "wsgi_environ" not in native.scopes[0]
    assert "asgi.scope" not in crossed.environs[1]


def test_the_app_in_an_adapter_is_not_converted_twice() -> None:
    native, crossed = AsgiSpy(), WsgiSpy()
    app = router({"/a": bridge.to_wsgi(native), "/w": bridge.to_asgi(crossed)})

    assert answers(app, "/a/x") == (b"asgi", b"asgi")
    assert answers(app, "/w/x") == (b"wsgi", b"wsgi")
    assert "wsgi_environ" not in native.scopes[0]
    assert "asgi.scope" not in crossed.environs[1]

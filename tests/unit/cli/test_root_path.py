"""`--root-path`: the app sees the same whether a proxy strips the path or not."""

from __future__ import annotations

import asyncio
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from bridge.cli.root_path import mount_asgi, mount_wsgi, normal_root_path
from bridge.convert import to_asgi
from bridge.types import Receive, Scope, Send


async def _receive() -> Any:
    raise AssertionError("nothing is received")


async def _send(message: Any) -> None:
    raise AssertionError("nothing is sent")


def _scope_seen(mount_path: str, **scope: Any) -> dict[str, Any]:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    mounted = mount_asgi(app, mount_path)
    asyncio.run(_call(mounted, {"type": "http", **scope}))
    return dict(seen[0])


async def _call(app: Any, scope: Any) -> None:
    await app(scope, _receive, _send)


def _environ_seen(root_path: str, **environ: str) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        return []

    setup_testing_defaults(environ)
    mount_wsgi(app, root_path)(environ, lambda *args: lambda data: None)
    return seen[0]


PATHS = [
    ("/", "/"),
    ("/x/y", "/x/y"),
    ("/shop/x", "/x"),
    ("/shop/", "/"),
    ("/shop", ""),
    ("/shopping", "/shopping"),
]


@pytest.mark.parametrize(("path", "inside"), PATHS)
def test_asgi_path_includes_the_root_once(path: str, inside: str) -> None:
    scope = _scope_seen("/shop", path=path, raw_path=path.encode(), root_path="")
    assert scope["root_path"] == "/shop"
    assert scope["path"] == "/shop" + inside
    assert scope["raw_path"] == b"/shop" + inside.encode()


@pytest.mark.parametrize(("path", "inside"), PATHS)
def test_wsgi_path_info_excludes_the_root(path: str, inside: str) -> None:
    environ = _environ_seen("/shop", PATH_INFO=path, SCRIPT_NAME="", RAW_URI=f"{path}?q=/shop")
    assert environ["SCRIPT_NAME"] == "/shop"
    assert environ["PATH_INFO"] == inside
    assert environ["RAW_URI"] == f"/shop{inside}?q=/shop"
    assert "REQUEST_URI" not in environ


def test_a_non_ascii_root_is_utf_8_in_latin_1_and_quoted_in_raw_paths() -> None:
    scope = _scope_seen("/käse", path="/x", raw_path=b"/x")
    assert scope["path"] == "/käse/x"
    assert scope["raw_path"] == b"/k%C3%A4se/x"
    environ = _environ_seen("/käse", PATH_INFO="/x", REQUEST_URI="/x")
    assert environ["SCRIPT_NAME"] == "/kÃ¤se"
    assert environ["REQUEST_URI"] == "/k%C3%A4se/x"


def test_a_root_path_set_by_the_server_is_kept_below() -> None:
    assert _scope_seen("/shop", path="/x", root_path="/deep")["root_path"] == "/shop/deep"
    assert _environ_seen("/shop", SCRIPT_NAME="/deep")["SCRIPT_NAME"] == "/shop/deep"


def test_websockets_are_mounted_and_the_lifespan_scope_is_unchanged() -> None:
    assert _scope_seen("/shop", type="websocket", path="/ws")["path"] == "/shop/ws"
    assert _scope_seen("/shop", type="lifespan") == {"type": "lifespan"}


def test_the_scope_of_the_server_is_not_changed() -> None:
    scope = {"type": "http", "path": "/x", "root_path": ""}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = "changed"

    asyncio.run(_call(mount_asgi(app, "/shop"), scope))
    assert scope == {"type": "http", "path": "/x", "root_path": ""}


@pytest.mark.parametrize("target", ["*", "", "x", "http://a.example/x", "http://a.example/shop/x"])
def test_a_target_that_does_not_begin_with_a_slash_is_unchanged(target: str) -> None:
    scope = _scope_seen("/shop", path=target, raw_path=target.encode())
    assert (scope["path"], scope["raw_path"]) == (target, target.encode())
    environ = _environ_seen("/shop", PATH_INFO=target, RAW_URI=target)
    assert (environ["PATH_INFO"], environ["RAW_URI"]) == (target, target)


def test_raw_path_includes_the_root_where_path_does() -> None:
    scope = _scope_seen("/shop", path="/shop/x", raw_path=b"/%73hop/x")
    assert (scope["path"], scope["raw_path"]) == ("/shop/x", b"/%73hop/x")


def test_without_a_root_path_the_app_itself_is_returned() -> None:
    asgi, wsgi = to_asgi(lambda environ, start_response: []), object()
    assert mount_asgi(asgi, "") is asgi
    assert mount_wsgi(wsgi, "") is wsgi  # type: ignore[arg-type]  # never called


@pytest.mark.parametrize(
    ("text", "normal"),
    [("", ""), ("/", ""), ("shop", "/shop"), ("/shop/", "/shop"), ("/a/b", "/a/b")],
)
def test_root_paths_are_normalised(text: str, normal: str) -> None:
    assert normal_root_path(text) == normal

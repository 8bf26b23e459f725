"""The mount of a request is looked up once; the adapter gets the app that was chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge._http.prefixes import PrefixTable
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse
from tests.apps.guard import asgi_app, mount_of, router, wsgi_app
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of
from tests.unit.router.test_websocket import connect

pytestmark = pytest.mark.usefixtures("close_apps")


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that Routers made in the test have looked up."""
    paths: list[str] = []
    find = PrefixTable.find

    def counted(table: PrefixTable[Any], path: str) -> Any:
        paths.append(path)
        return find(table, path)

    monkeypatch.setattr(PrefixTable, "find", counted)
    return paths


PATHS = ["/", "/x", "/admin", "/admin/x", "/admin/files/x", "/api/x", "/apix"]


@pytest.mark.parametrize("path", PATHS)
def test_one_lookup_on_an_asgi_server(looked_up: list[str], path: str) -> None:
    app = router()
    looked_up.clear()

    response = asgi.call(app, http_scope(path=f"/root{path}", root_path="/root"))

    at = mount_of(path)
    assert response.json() == [at, f"/root{at}", path[len(at) :]]
    assert looked_up == [path]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("script_name", ["", "/root", "/root/", "root"])
def test_one_lookup_on_a_wsgi_server(looked_up: list[str], path: str, script_name: str) -> None:
    app = router()
    looked_up.clear()

    response = wsgi.call(app, environ_of(path=path, SCRIPT_NAME=script_name), validate=False)

    at = mount_of(path)
    root = "/root" if script_name else ""
    assert response.json() == [at, f"{root}{at}", path[len(at) :]]
    assert looked_up == [path]


class Live:
    """An ASGI app that reports on which loop its lifespan and its requests run."""

    def __init__(self) -> None:
        self.loops: dict[str, list[asyncio.AbstractEventLoop]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.loops.setdefault(scope["type"], []).append(asyncio.get_running_loop())
        if scope["type"] == "http":
            await asgi_app("live")(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            await send({"type": f"lifespan.{phase}.complete"})


@pytest.mark.parametrize(
    ("path", "root_path", "status"),
    [
        ("/root/admin", "/root", 200),
        ("/admin", "/root", 200),
        ("/rootx://h/admin", "/root", 200),
        ("/roothttp://h/admin", "/root", 200),
        ("http://h/admin", "/root", 400),
        ("http://h/admin", "", 400),
        ("admin", "/", 400),
    ],
)
def test_an_asgi_app_runs_only_where_its_lifespan_ran(
    path: str, root_path: str, status: int
) -> None:
    live = Live()
    app = bridge.Router({"/": wsgi_app("site"), "/admin": live})

    async def main() -> int:
        async with asgi.lifespan(app):
            return (await asgi.call_async(app, http_scope(path=path, root_path=root_path))).status

    assert asyncio.run(main()) == status
    (loop,) = live.loops["lifespan"]
    assert live.loops.get("http", [loop]) == [loop]


def test_a_websocket_and_a_request_for_one_path_may_have_different_apps() -> None:
    seen: list[Environ] = []

    def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no"]

    mounts = {"/": site, "/chat": bridge.Mount(http=asgi_app("page"))}
    app = bridge.Router(mounts, lifespan="off", websocket_threads=1)

    (refused,) = connect(app, "/chat/room")

    assert refused["type"] == "websocket.close"
    (environ,) = seen
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/chat/room")
    assert asgi.call(app, http_scope(path="/chat/room")).json()[0] == "page"


@pytest.mark.parametrize("path", ["", "chat", "http://h/chat"])
@pytest.mark.parametrize("denial", [None, {"websocket.http.response": {}}])
def test_a_websocket_for_no_path_is_refused(path: str, denial: Any) -> None:
    app = bridge.Router({"/": asgi_app("page")}, lifespan="off")

    first: Message = connect(app, path, extensions=denial)[0]

    assert first.get("status", 400) == 400
    assert first["type"] == ("websocket.http.response.start" if denial else "websocket.close")


def test_a_trusted_path_that_is_not_below_the_prefix_is_not_found() -> None:
    def trust(scope: Scope) -> dict[str, str]:
        return {"PATH_INFO": "/elsewhere"}

    app = bridge.Router({"/shop": wsgi_app("shop")}, trusted_environ=trust)

    assert asgi.call(app, http_scope(path="/shop/x")).status == 404

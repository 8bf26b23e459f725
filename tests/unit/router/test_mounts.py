"""Arguments that a Router accepts and rejects, and the threads that run each app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from falcon.asgi import App as FalconApp
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount as StarletteMount

import bridge
from bridge.dual import Universal
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of

pytestmark = pytest.mark.usefixtures("close_apps")


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [threading.current_thread().name.encode()]


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    name = threading.current_thread().name.encode()
    await send({"type": "http.response.body", "body": name})


def unknown(*args: Any) -> Any:
    raise AssertionError("it must not be called")


Make = Callable[[], object]

# Arguments of the wrong type are rejected at run time, too.
Router: Any = bridge.Router
Mount: Any = bridge.Mount
universal: Any = bridge.universal


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Router({}), "at least one app"),
        (lambda: Router({}, websocket={}), "at least one app"),
        (lambda: Router(api), "a mapping of prefixes to apps"),
        (lambda: Router([("/", api)]), "a mapping of prefixes to apps"),
        (lambda: Router({"api": api}), "prefix='api': expected a path that begins with a"),
        (lambda: Router({"": api}), "prefix='': expected"),
        (lambda: Router({"/": None}), "mounts['/']=None: expected an app"),
        (lambda: Router({"/a": api, "/a/": site}), "prefix='/a': expected one app for http"),
        (lambda: Router({}, websocket={"/ws": site}), "websocket['/ws']"),
        (lambda: Router({}, websocket={"/ws": site}), "an ASGI app"),
        (lambda: Router({"/": site}, websocket={"ws": api}), "prefix='ws': expected"),
        (
            lambda: Router({"/": site}, websocket={"/w": api, "/w/": Mount(site)}),
            "/w",
        ),
        (
            lambda: Router({}, websocket={"/ws": Mount(websocket=api)}),
            "websocket['/ws']",
        ),
        (
            lambda: Router({"/w": Mount(websocket=api)}, websocket={"/w": unknown}),
            "'/w'",
        ),
        (lambda: Mount(), "http="),
        (lambda: Mount(http=api, path="half"), "path='half': expected one of 'auto', 'whole'"),
        (lambda: Router({"/": api}, thread=3), "thread=3: expected no value: there is no"),
        (lambda: Router({"/": api}, thread=3), "Did you mean 'threads'?"),
        (lambda: Router({"/": api}, threads=0), "threads=0: expected an int of 1 or more"),
        (
            lambda: Router({"/": api}, wait_target_s=0),
            "wait_target_s=0: expected None or a number above 0",
        ),
        (lambda: Router({"/": api}, lifespan="no"), "lifespan='no': expected one of 'auto'"),
        (lambda: universal(api, backlogs=1), "Did you mean 'backlog'?"),
    ],
)
def test_a_wrong_argument_is_named_with_the_allowed_values(make: Make, message: str) -> None:
    with pytest.raises((bridge.ConfigError, bridge.AmbiguousApp)) as refused:
        make()

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        (lambda: Router({"/a": api, "/b": unknown}), "/b"),
        (lambda: Router({"/a": api, "/b/": Mount(http=unknown)}), "/b"),
        (lambda: Router({"/": api}, websocket={"/ws": unknown}), "/ws"),
        (lambda: Router({"/": api}, websocket=unknown), "/"),
        (lambda: Router({"/": "main:app"}), "/"),
        (lambda: universal(unknown), "/"),
    ],
)
def test_an_app_of_unknown_interface_is_named_by_its_prefix(make: Make, prefix: str) -> None:
    with pytest.raises(bridge.AmbiguousApp, match=f"^mounted at '{prefix}': "):
        make()


def test_two_apps_on_one_prefix_are_both_named() -> None:
    with pytest.raises(bridge.ConfigError) as refused:
        bridge.Router({"/a": api, "/a/": site})

    assert f"{__name__}.api and {__name__}.site" in str(refused.value)


def test_the_same_app_twice_at_one_prefix_is_one_mount() -> None:
    adapter = bridge.WsgiToAsgi(site)

    bridge.Router({"/a": api, "/a/": api})
    bridge.Router({"/a": adapter.__call__, "/a/": adapter.__call__})


def test_a_mounted_router_cannot_choose_its_own_loop() -> None:
    inner = bridge.Router({"/": api}, loop_factory=asyncio.new_event_loop)

    with pytest.raises(bridge.ConfigError, match="'/in' has its own"):
        bridge.Router({"/in": inner})
    bridge.Router({"/in": inner}, loop_factory=asyncio.new_event_loop)


# -- pools -----------------------------------------------------------------------------------------


def body(app: AsgiApp, path: str) -> str:
    return asgi.call(app, http_scope(path=path)).body.decode()


def test_all_wsgi_apps_share_one_pool() -> None:
    threads: set[threading.Thread] = set()

    def spy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threads.add(threading.current_thread())
        return site(environ, start_response)

    router = bridge.Router({"/": spy, "/a": spy, "/in": bridge.Router({"/b": spy})}, threads=1)
    for path in ("/", "/a", "/in/b"):
        body(router, path)

    assert len(threads) == 1


def test_a_nested_router_with_options_has_its_own_pool() -> None:
    with bridge.WorkerPool(1, name="mine") as mine:
        inner = bridge.Router({"/": site}, executor=mine)
        router = bridge.Router({"/": site, "/in": bridge.Router({"/deep": inner})}, threads=1)

        assert body(router, "/in/deep").startswith("mine-")
        assert body(router, "/").startswith("bridge-worker-")


def test_the_shared_pool_has_stats() -> None:
    router = bridge.Router({"/": site, "/a": site, "/api": api, "/in": bridge.Router({"/": site})})
    for path in ("/", "/a", "/in", "/api"):
        body(router, path)

    stats = router.stats()
    assert stats is not None
    assert stats.running + stats.completed == 3  # the last one may not have returned yet
    assert bridge.Router({"/": api}).stats() is None


def test_an_app_in_an_adapter_uses_the_pool_of_the_adapter() -> None:
    with bridge.WorkerPool(1, name="mine") as mine:
        router = bridge.Router({"/": site, "/a": bridge.to_asgi(site, executor=mine)})

        assert body(router, "/a").startswith("mine-")
        assert body(router, "/").startswith("bridge-worker-")


def test_an_asgi_app_runs_on_the_servers_own_loop() -> None:
    assert body(bridge.Router({"/a": api}), "/a") == threading.current_thread().name


def test_on_a_wsgi_server_a_wsgi_app_runs_on_the_servers_own_thread() -> None:
    router = bridge.Router({"/": site, "/a": bridge.to_asgi(site)})
    here = threading.current_thread().name.encode()

    assert [wsgi.call(router, environ_of(path=path)).body for path in ("/", "/a")] == [here, here]


def test_a_universal_app_is_called_directly_on_both_kinds_of_server() -> None:
    """As the handlers of `bridge.contrib.django` are."""
    router = bridge.Router({"/": site, "/django": Universal(api, site)})
    here = threading.current_thread().name
    before = set(threading.enumerate())

    assert body(router, "/django") == here
    assert wsgi.call(router, environ_of(path="/django")).body.decode() == here
    new = set(threading.enumerate()) - before
    assert "bridge-loop" not in {thread.name for thread in new}


def test_on_a_wsgi_server_asgi_apps_share_one_loop() -> None:
    router = bridge.Router({"/": site, "/a": api, "/b": bridge.to_wsgi(api)})

    names = {wsgi.call(router, environ_of(path=path)).body for path in ("/a", "/b")}
    router.close()

    assert names == {b"bridge-loop"}


async def test_the_servers_shutdown_ends_the_pools_threads() -> None:
    threads: list[threading.Thread] = []

    def spy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threads.append(threading.current_thread())
        return site(environ, start_response)

    router = bridge.Router({"/": spy, "/in": bridge.Router({"/": spy}, threads=2)})
    async with asgi.lifespan(router):
        for path in ("/", "/in"):
            await asgi.call_async(router, http_scope(path=path))

    for thread in threads:
        thread.join(30)  # it has been stopped, but may still be ending
    assert len(set(threads)) == 2
    assert not any(thread.is_alive() for thread in threads)


def test_options_reach_the_adapters() -> None:
    router = bridge.Router({"/w": site, "/a": api}, duplicate_header_limit=1, body_window=1)
    headers = [(b"x-a", b"1"), (b"x-a", b"2")]

    assert asgi.call(router, http_scope(path="/w", headers=headers)).status == 400
    assert asgi.call(router, http_scope(path="/a", headers=headers)).status == 200


# -- what frameworks need --------------------------------------------------------------------------


def test_an_app_in_a_mounted_router_builds_its_own_urls() -> None:
    """Starlette stores its router in the scope, where the mounted app would look up its routes."""
    inner = FastAPI()

    @inner.get("/hello")
    def hello(request: Request) -> str:
        return str(request.url_for("hello"))

    for prefix in ("", "/in"):
        router = bridge.Router({prefix or "/": inner})
        outer = Starlette(routes=[StarletteMount("/outer", router)])
        url = body(outer, f"/outer{prefix}/hello")

        assert url == f'"http://testserver/outer{prefix}/hello"'


class FalconHello:
    async def on_get(self, request: Any, response: Any) -> None:
        response.text = f"{request.root_path} {request.path}"


def test_falcon_gets_the_path_below_its_prefix() -> None:
    falcon = FalconApp()
    falcon.add_route("/hello", FalconHello())

    router = bridge.Router({"/f": falcon, "/": site})

    assert body(router, "/f/hello") == "/f /hello"


def test_the_representation_shows_the_mounts() -> None:
    router = bridge.Router({"/": site, "/a/": api})

    assert repr(router) == f"Router({{'/': {site!r}, '/a': {api!r}}})"


async def test_a_scope_of_another_type_is_an_error_of_the_server() -> None:
    with pytest.raises(bridge.ServerProtocolError, match="'http3'; a Router takes"):
        await Router({"/": api})({"type": "http3"}, print, print)

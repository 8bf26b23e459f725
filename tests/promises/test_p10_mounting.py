"""P10: SCRIPT_NAME and PATH_INFO are split at a ``/`` only, and the encoded path is kept, whatever
mounts the app: the server's root path, Starlette, FastAPI, a Router, or all of them.

Reported as a2wsgi #41, asgiref #424, starlette #430. Other adapters split ``/apple`` below ``/app``
into ``/app`` and ``le``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

import bridge
from bridge.types import AsgiApp, Environ, StartResponse
from tests.apps import wsgi_conformance
from tests.conftest import CONFORMANCE, THREADS, LiveServer, Servers, options
from tests.harness.asgi import call, http_scope
from tests.harness.servers import ASGI_SERVERS, SERVERS

ROOTED = [name for name in ASGI_SERVERS if SERVERS[name].root_path is not None]


Mounting: TypeAlias = Callable[[AsgiApp], AsgiApp]


@pytest.fixture
def pool() -> Iterator[bridge.WorkerPool]:
    with bridge.WorkerPool(1) as pool:
        yield pool


def starlette_mount(adapter: AsgiApp) -> AsgiApp:
    app: AsgiApp = Starlette(routes=[Mount("/app", adapter)])
    return app


def starlette_mount_in_mount(adapter: AsgiApp) -> AsgiApp:
    app: AsgiApp = Starlette(routes=[Mount("/outer", routes=[Mount("/app", adapter)])])
    return app


def fastapi_mount(adapter: AsgiApp) -> AsgiApp:
    app = FastAPI()
    app.mount("/app", adapter)
    return app


def fastapi_root_path(adapter: AsgiApp) -> AsgiApp:
    with warnings.catch_warnings():  # FastAPI 0.165 prefers the server's option
        warnings.simplefilter("ignore")
        app = FastAPI(root_path="/proxy")
    app.mount("/app", adapter)
    return app


def router_mount(adapter: AsgiApp) -> AsgiApp:
    return bridge.Router({"/app": adapter}, lifespan="off")


def router_in_router(adapter: AsgiApp) -> AsgiApp:
    return bridge.Router({"/outer": router_mount(adapter)}, lifespan="off")


def router_in_starlette(adapter: AsgiApp) -> AsgiApp:
    app: AsgiApp = Starlette(routes=[Mount("/outer", router_mount(adapter))])
    return app


def starlette_in_router(adapter: AsgiApp) -> AsgiApp:
    return bridge.Router({"/outer": starlette_mount(adapter)}, lifespan="off")


@pytest.mark.parametrize(
    ("mount", "path", "script_name", "path_info"),
    [
        (starlette_mount, "/app/echo", "/app", "/echo"),
        (starlette_mount, "/app/echo/x/", "/app", "/echo/x/"),
        (starlette_mount, "/app/app/echo", "/app", "/app/echo"),
        (starlette_mount_in_mount, "/outer/app/echo", "/outer/app", "/echo"),
        (fastapi_mount, "/app/echo", "/app", "/echo"),
        (fastapi_root_path, "/proxy/app/echo", "/proxy/app", "/echo"),
        (router_mount, "/app/echo/x/", "/app", "/echo/x/"),
        (router_in_router, "/outer/app/echo", "/outer/app", "/echo"),
        (router_in_starlette, "/outer/app/echo", "/outer/app", "/echo"),
        (starlette_in_router, "/outer/app/echo", "/outer/app", "/echo"),
    ],
)
def test_an_adapter_below_a_mount_sees_the_prefix_as_script_name(
    pool: bridge.WorkerPool, mount: Mounting, path: str, script_name: str, path_info: str
) -> None:
    split: list[tuple[str, str]] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        split.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return wsgi_conformance.app(environ, start_response)

    call(mount(bridge.WsgiToAsgi(app, executor=pool)), http_scope(path=path))

    assert split == [(script_name, path_info)]


@pytest.mark.parametrize("mount", [starlette_mount, fastapi_mount, router_mount])
def test_a_longer_first_segment_is_not_below_the_prefix(
    pool: bridge.WorkerPool, mount: Mounting
) -> None:
    adapter = bridge.WsgiToAsgi(wsgi_conformance.app, executor=pool)

    response = call(mount(adapter), http_scope(path="/apple"))

    assert (response.status, pool.stats().completed) == (404, 0)


def test_a_mount_keeps_the_encoded_path(pool: bridge.WorkerPool) -> None:
    adapter = bridge.WsgiToAsgi(wsgi_conformance.app, executor=pool)
    scope = http_scope(path="/app/echo/a/b", raw_path=b"/app/echo/a%2Fb")

    environ = call(starlette_mount(adapter), scope).json()["environ"]

    assert environ["PATH_INFO"] == "/echo/a/b"
    assert environ["RAW_URI"] == "/app/echo/a%2Fb"


@pytest.fixture(params=ROOTED)
def rooted(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """Each server, with ``/app`` as its root path."""
    spec = SERVERS[request.param]
    assert spec.root_path is not None
    args = tuple(spec.root_path("/app"))
    server = servers.get(request.param, CONFORMANCE, env=options(threads=THREADS), args=args)
    live_server = LiveServer.of(server)
    yield live_server
    live_server.client.close()


INCLUDES_ROOT = ("uvicorn-h11", "uvicorn-httptools", "uvicorn-uvloop")
"""uvicorn adds the root path to the request's path, for a proxy that has stripped it. The others
expect a proxy that has not: their scope has the path of the request."""


def requested_path(live_server: LiveServer, below: str) -> str:
    """The path that a proxy sends to this server for ``/app`` plus ``below``."""
    return below if live_server.name in INCLUDES_ROOT else f"/app{below}"


def test_a_servers_root_path_becomes_script_name(rooted: LiveServer) -> None:
    environ = rooted.client.fetch("GET", requested_path(rooted, "/echo/x")).json()["environ"]

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/echo/x")


def test_a_path_that_only_begins_like_the_root_path_is_not_split(rooted: LiveServer) -> None:
    path = "/echo/app" if rooted.name in INCLUDES_ROOT else "/echo/apple"

    environ = rooted.client.fetch("GET", path).json()["environ"]

    assert environ["PATH_INFO"] == path

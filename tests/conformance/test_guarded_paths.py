"""The app sees the path that middleware in front of bridge has seen, for any path and root path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.asgi_to_wsgi.running_app import close_running_apps
from bridge.types import AsgiApp, WsgiApp
from tests.apps.guard import (
    asgi_app,
    asgi_guard,
    problem_behind_guard,
    router,
    wsgi_app,
    wsgi_guard,
)
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of

PIECES = [
    "/",
    "//",
    "admin",
    "files",
    "api",
    "x",
    "://",
    "http:",
    "h",
    "*",
    "%2f",
    "caf\xe9",
    "\ufffd",
    "..",
    "",
]
ROOTS = ["", "/", "/api", "/api/", "api", "/api/x", "/caf\xe9", "/\ufffd", "/admin"]

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
rests = st.lists(st.sampled_from(PIECES) | anything, max_size=6).map("".join)
roots = st.sampled_from(ROOTS)
paths = st.builds(str.__add__, roots, rests)
"""With a root path in front more often than by chance, at the end of a segment or not."""

segments = st.sampled_from([b"\xff", b"caf\xe9", b"admin", b"api"]) | st.binary(max_size=4)
through = st.sampled_from(["adapter", "router"])
native_paths = (paths.map(str.encode) | st.binary(max_size=12)).map(
    lambda data: data.decode("latin-1")
)


@pytest.fixture(scope="module")
def on_loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def asgi_side() -> Iterator[AsgiApp]:
    with bridge.WorkerPool(2) as pool:
        adapter = bridge.to_asgi(wsgi_app("adapter"), executor=pool)
        yield asgi_guard({"adapter": adapter, "router": router(executor=pool)})


@pytest.fixture(scope="module")
def wsgi_side() -> Iterator[WsgiApp]:
    adapter = bridge.to_wsgi(asgi_app("adapter"), lifespan="off")
    yield wsgi_guard({"adapter": adapter, "router": router().wsgi})
    close_running_apps()


@given(path=paths, root_path=roots, has_raw_path=st.booleans(), through=through)
def test_on_an_asgi_server(
    on_loop: asyncio.Runner,
    asgi_side: AsgiApp,
    path: str,
    root_path: str,
    has_raw_path: bool,
    through: str,
) -> None:
    headers = [(b"x-through", through.encode())]
    scope = http_scope(path=path, root_path=root_path, headers=headers)
    scope["raw_path"] = quote(path).encode() if has_raw_path else None

    response = on_loop.run(asgi.call_async(asgi_side, scope))

    assert problem_behind_guard("asgi", through, response) is None


@given(segments=st.lists(segments, max_size=3), root_path=roots, through=through)
def test_on_an_asgi_server_with_bytes_that_are_not_utf_8(
    on_loop: asyncio.Runner, asgi_side: AsgiApp, segments: list[bytes], root_path: str, through: str
) -> None:
    raw = b"/" + b"/".join(segments)
    headers = [(b"x-through", through.encode())]
    scope = http_scope(path=raw.decode("utf-8", "replace"), root_path=root_path, headers=headers)
    scope["raw_path"] = quote(raw).encode()

    response = on_loop.run(asgi.call_async(asgi_side, scope))

    assert problem_behind_guard("asgi", through, response) is None


@given(path=native_paths, root_path=roots, through=through)
def test_on_a_wsgi_server(wsgi_side: WsgiApp, path: str, root_path: str, through: str) -> None:
    script_name = root_path.encode().decode("latin-1")
    environ = environ_of(path=path, SCRIPT_NAME=script_name, headers=(("X-Through", through),))

    response = wsgi.call(wsgi_side, environ, validate=False)

    assert problem_behind_guard("wsgi", through, response) is None

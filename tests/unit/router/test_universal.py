"""One object for both kinds of server: each server detects the interface that it needs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any

import pytest
from asgiref.compatibility import guarantee_single_callable
from asgiref.sync import iscoroutinefunction
from hypercorn.utils import is_asgi
from starlette._utils import is_async_callable
from uvicorn import Config

import bridge
from bridge.cli.build_app import plain_asgi
from bridge.dual import Universal
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness import asgi, wsgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of

pytestmark = pytest.mark.usefixtures("close_apps")


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"asgi"})


@pytest.fixture(params=["wsgi", "asgi", "router"])
def app(request: pytest.FixtureRequest) -> Any:
    """Each kind of object with both interfaces."""
    if request.param == "router":
        return bridge.Router({"/": api, "/w": site})
    return bridge.universal(site if request.param == "wsgi" else api)


@pytest.mark.parametrize(("inner", "body"), [(site, b"wsgi"), (api, b"asgi")])
def test_one_object_serves_both(inner: Any, body: bytes) -> None:
    app = bridge.universal(inner)

    assert asgi.call(app, http_scope()).body == body
    assert wsgi.call(app, environ_of()).body == body


def test_uvicorn_detects_asgi_3(app: Any) -> None:
    config = Config(app)
    config.load()

    assert config.interface == "asgi3"


def test_hypercorn_detects_asgi(app: Any) -> None:
    assert is_asgi(app)


def test_daphne_and_channels_detect_asgi_3(app: Any) -> None:
    assert guarantee_single_callable(app) is app  # type: ignore[no-untyped-call]  # has no types


def test_starlette_and_asgiref_detect_a_coroutine_function(app: Any) -> None:
    assert iscoroutinefunction(app.__call__)
    assert is_async_callable(app)


def test_the_attribute_that_servers_inspect_can_be_called(app: Any) -> None:
    assert inspect.iscoroutinefunction(app.__call__)
    assert asgi.call(app.__call__, http_scope()).status == 200


def test_daphne_passes_arguments_by_name(app: Any) -> None:
    async def daphne(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope=scope, receive=receive, send=send)

    assert asgi.call(daphne, http_scope()).status == 200


def test_bridge_detects_both_interfaces(app: Any) -> None:
    assert bridge.interface_of(app) == "asgi"
    assert bridge.to_asgi(app) is app
    assert bridge.to_wsgi(app) is app
    assert bridge.universal(app) is app
    assert plain_asgi(app) is app


def test_each_interface_can_be_used_alone(app: Any) -> None:
    assert isinstance(app, Universal)
    assert asgi.call(app.asgi, http_scope()).status == 200
    assert wsgi.call(app.wsgi, environ_of()).status == 200


def test_a_call_with_two_arguments_returns_no_coroutine(app: Any) -> None:
    answer = app(environ_of(), lambda status, headers, exc_info=None: lambda data: None)

    assert not asyncio.iscoroutine(answer)
    assert b"".join(answer) in (b"wsgi", b"asgi")
    getattr(answer, "close", lambda: None)()


def test_options_reach_the_adapter(app: Any) -> None:
    limited = bridge.universal(site, duplicate_header_limit=1)
    headers = [(b"x-a", b"1"), (b"x-a", b"2")]

    assert asgi.call(limited, http_scope(headers=headers)).status == 400


def test_a_wsgi_app_gets_the_servers_own_environ() -> None:
    seen: list[Environ] = []

    def spy(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        return site(environ, start_response)

    environ = environ_of()
    bridge.universal(spy)(environ, lambda status, headers, exc_info=None: lambda data: None)

    assert seen[0] is environ

"""A lifespan that fails, under Starlette's test client: the block raises what the app has raised.

After a message such as ``lifespan.startup.failed``, the client waits for the app to raise, as
Starlette does. If the app returns instead, the block is entered, and its end hangs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import bridge
from bridge.types import AsgiApp, Receive, Scope, Send

pytestmark = pytest.mark.timeout(60)  # they hang where the app returns

MAKE: dict[str, Callable[[Any], Any]] = {
    "bare": lambda app: app,
    "router": lambda app: bridge.Router({"/": app}),
    "nested": lambda app: bridge.Router({"/v1": bridge.Router({"/": app}, lifespan="on")}),
    "universal": bridge.universal,
    "with-wsgi": lambda app: bridge.Router({"/": flask_like, "/api": app}),
    "websocket": lambda app: bridge.Router({"/": flask_like}, websocket={"/ws": app}),
}
each_app = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def flask_like(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


def fastapi_app(*, fails: str, error: BaseException) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if fails == "startup":
            raise error
        yield
        if fails == "shutdown":
            raise error

    return FastAPI(lifespan=lifespan)


@each_app
def test_a_failed_startup_raises_the_apps_exception(make: Callable[[Any], Any]) -> None:
    error = OSError("no database")
    app = make(fastapi_app(fails="startup", error=error))

    for _ in range(2):  # each start is tried anew
        with pytest.raises(OSError, match="no database") as caught, TestClient(app):
            pytest.fail("the block was entered")
        assert caught.value is error
        assert caught.value.__cause__ is None


@each_app
def test_a_failed_shutdown_raises_the_apps_exception(make: Callable[[Any], Any]) -> None:
    error = OSError("cannot close")
    app = make(fastapi_app(fails="shutdown", error=error))

    with pytest.raises(OSError, match="cannot close") as caught, TestClient(app):
        pass
    assert caught.value is error


def answers(kind: str) -> AsgiApp:
    """An app that sends ``kind``, its failure, and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if kind == "lifespan.shutdown.failed":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": kind, "message": "no database"})

    return app


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_a_failure_without_an_exception_raises_lifespan_failed(phase: str) -> None:
    app = bridge.Router({"/api": answers(f"lifespan.{phase}.failed")})

    with (
        pytest.raises(
            bridge.LifespanFailed,
            match=f"the app mounted at '/api': {phase} of .* failed: no database",
        ),
        TestClient(app),
    ):
        pass


def test_a_startup_that_takes_too_long_raises_lifespan_failed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    with (
        pytest.raises(bridge.LifespanFailed, match=r"longer than startup_timeout_s=0\.05"),
        TestClient(bridge.universal(app, startup_timeout_s=0.05)),
    ):
        pass


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_exception_that_would_end_the_servers_loop_is_a_cause(error: BaseException) -> None:
    app = bridge.Router({"/": fastapi_app(fails="startup", error=error)})

    with pytest.raises(bridge.LifespanFailed) as caught, TestClient(app):
        pass
    assert caught.value.__cause__ is error

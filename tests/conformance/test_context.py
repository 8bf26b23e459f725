"""Context variables and asgiref locals: shared within a request, not with the next one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

from asgiref.local import Local
from asgiref.sync import async_to_sync

from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call, call_async, http_scope

user: ContextVar[str] = ContextVar("user", default="nobody")
locals_ = Local()


def setting_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Responds with the value of the variable and sets it to the path."""
    before = user.get()
    user.set(environ["PATH_INFO"])
    start_response("200 OK", PLAIN)
    return [before.encode()]


def test_variables_of_the_server_are_visible_in_the_app(to_asgi: ToAsgi) -> None:
    async def run() -> bytes:
        user.set("ann")
        return (await call_async(to_asgi(setting_app), http_scope())).body

    assert asyncio.run(run()) == b"ann"


def test_variables_of_the_app_are_visible_in_its_caller(to_asgi: ToAsgi) -> None:
    seen: list[str] = []
    adapter = to_asgi(setting_app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter(scope, receive, send)
        seen.append(user.get())

    call(middleware, http_scope(path="/ann"))
    assert seen == ["/ann"]


def test_variables_set_during_iteration_are_visible_in_the_caller(to_asgi: ToAsgi) -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a"
        user.set("late")
        yield b"b"

    adapter = to_asgi(app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter(scope, receive, send)
        seen.append(user.get())

    call(middleware, http_scope())
    assert seen == ["late"]


def test_variables_do_not_leak_into_the_next_request_on_a_thread(to_asgi: ToAsgi) -> None:
    adapter = to_asgi(setting_app, threads=1)

    bodies = [call(adapter, http_scope(path=f"/{number}")).body for number in range(5)]

    assert bodies == [b"nobody"] * 5


def test_concurrent_requests_do_not_share_variables(to_asgi: ToAsgi) -> None:
    barrier = threading.Barrier(4)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        user.set(environ["PATH_INFO"])
        barrier.wait(10)
        start_response("200 OK", PLAIN)
        return [user.get().encode()]

    adapter = to_asgi(app, threads=4)

    async def run() -> list[bytes]:
        scopes = [http_scope(path=f"/{number}") for number in range(4)]
        responses = await asyncio.gather(*(call_async(adapter, scope) for scope in scopes))
        return [response.body for response in responses]

    assert asyncio.run(run()) == [b"/0", b"/1", b"/2", b"/3"]


def test_asgiref_locals_are_shared_with_the_app(to_asgi: ToAsgi) -> None:
    """Django keeps its connections and translations in them."""
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        before = locals_.language
        locals_.language = "fr"
        start_response("200 OK", PLAIN)
        return [before.encode()]

    adapter = to_asgi(app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        locals_.language = "de"
        await adapter(scope, receive, send)
        seen.append(locals_.language)

    assert call(middleware, http_scope()).body == b"de"
    assert seen == ["fr"]


def test_async_to_sync_in_the_app_runs_on_the_servers_loop(to_asgi: ToAsgi) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def record_loop() -> None:
        loops.append(asyncio.get_running_loop())

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        async_to_sync(record_loop)()
        start_response("200 OK", PLAIN)
        return [b"ok"]

    async def run() -> asyncio.AbstractEventLoop:
        adapter = to_asgi(app)
        for _ in range(2):
            await call_async(adapter, http_scope())
        return asyncio.get_running_loop()

    loop = asyncio.run(run())
    assert loops == [loop, loop]


def test_async_to_sync_in_close_runs_on_the_servers_loop(to_asgi: ToAsgi) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def record_loop() -> None:
        loops.append(asyncio.get_running_loop())

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            yield b"a"
        finally:
            async_to_sync(record_loop)()

    async def run() -> asyncio.AbstractEventLoop:
        async with Exchange(to_asgi(app), http_scope()) as exchange:
            exchange.feed()
            await exchange.response()
        return asyncio.get_running_loop()

    loop = asyncio.run(run())
    assert loops == [loop]

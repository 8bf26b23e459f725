"""Context variables and asgiref locals: shared within a request, not with the next one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync

from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse
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


class SetsInSend:
    """A middleware that sets a variable whenever it sends, and signals when the adapter goes on.

    :param to: the values: one for each message, the last one for the rest.
    """

    def __init__(self, app: AsgiApp, *to: str) -> None:
        self._app = app
        self._to = to
        self.sent = threading.Semaphore(0)
        self.seen_after = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        values = iter(self._to)

        async def set_and_send(message: Message) -> None:
            user.set(next(values, self._to[-1]))
            await send(message)
            asyncio.get_running_loop().call_soon(self.sent.release)

        user.set("before")
        await self._app(scope, receive, set_and_send)
        self.seen_after = user.get()


@pytest.mark.parametrize("writes", [False, True])
def test_a_variable_set_in_send_is_visible_in_the_app_afterwards(
    to_asgi: ToAsgi, writes: bool
) -> None:
    """From the first response on, whichever chunk it is."""
    seen: list[str] = []

    def yields(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        for _ in range(3):
            seen.append(user.get())
            yield b"x"
        seen.append(user.get())

    def calls_write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        for _ in range(3):
            seen.append(user.get())
            write(b"x")
        seen.append(user.get())
        return []

    middleware = SetsInSend(to_asgi(calls_write if writes else yields), "head", "1", "2", "3")

    for _ in range(3):
        assert call(middleware, http_scope()).body == b"xxx"
        assert (seen, middleware.seen_after) == (["before", "1", "2", "3"], "3")
        seen.clear()


def test_a_variable_first_set_in_a_later_send_is_visible_from_the_next_chunk_on(
    to_asgi: ToAsgi,
) -> None:
    """The app is not paused for middleware that has never set a variable."""
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"1"
        yield b"2"
        for _ in range(3):  # the head and two chunks are sent: perhaps in fewer messages
            middleware.sent.acquire(timeout=1)
        yield b"3"
        seen.append(user.get())
        yield b"4"

    middleware = SetsInSend(to_asgi(app), "before", "before", "later")
    assert call(middleware, http_scope()).body == b"1234"
    assert seen == ["later"]


def test_the_app_does_not_undo_what_send_has_set(to_asgi: ToAsgi) -> None:
    """Not even if the app has set something else."""
    other: ContextVar[str] = ContextVar("other")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        other.set("app")
        start_response("200 OK", PLAIN)
        return [b"whole"]

    adapter = SetsInSend(to_asgi(app), "head", "body")
    seen: list[str] = []

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter(scope, receive, send)
        seen.append(other.get("-"))

    assert call(outer, http_scope()).body == b"whole"
    assert (adapter.seen_after, seen) == ("body", ["app"])


def test_what_the_app_has_set_itself_wins_over_an_earlier_send(to_asgi: ToAsgi) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"x"
        user.set(f"{user.get()} and app")
        yield b"y"

    middleware = SetsInSend(to_asgi(app), "send")
    assert call(middleware, http_scope()).body == b"xy"
    assert middleware.seen_after == "send and app"


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

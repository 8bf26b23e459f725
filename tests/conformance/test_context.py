"""Context variables and thread-locals: in, out, and never into the next request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

from asgiref.local import Local
from asgiref.sync import async_to_sync

from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import Bridged
from tests.harness.asgi import Exchange, call, call_async, http_scope

user: ContextVar[str] = ContextVar("user", default="nobody")
locals_ = Local()


def setting_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with what the variable was, then sets it to the path."""
    before = user.get()
    user.set(environ["PATH_INFO"])
    start_response("200 OK", PLAIN)
    return [before.encode()]


def test_what_the_server_set_is_seen_by_the_app(bridged: Bridged) -> None:
    async def run() -> bytes:
        user.set("ann")
        return (await call_async(bridged(setting_app), http_scope())).body

    assert asyncio.run(run()) == b"ann"


def test_what_the_app_set_is_seen_by_its_caller(bridged: Bridged) -> None:
    seen: list[str] = []
    adapter = bridged(setting_app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter(scope, receive, send)
        seen.append(user.get())

    call(middleware, http_scope(path="/ann"))
    assert seen == ["/ann"]


def test_what_a_generator_sets_while_it_runs_is_seen_by_its_caller(bridged: Bridged) -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a"
        user.set("late")
        yield b"b"

    adapter = bridged(app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await adapter(scope, receive, send)
        seen.append(user.get())

    call(middleware, http_scope())
    assert seen == ["late"]


def test_nothing_leaks_into_the_next_request_on_the_same_thread(bridged: Bridged) -> None:
    adapter = bridged(setting_app, threads=1)

    bodies = [call(adapter, http_scope(path=f"/{number}")).body for number in range(5)]

    assert bodies == [b"nobody"] * 5


def test_requests_at_the_same_time_keep_their_own(bridged: Bridged) -> None:
    together = threading.Barrier(4)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        user.set(environ["PATH_INFO"])
        together.wait(10)
        start_response("200 OK", PLAIN)
        return [user.get().encode()]

    adapter = bridged(app, threads=4)

    async def run() -> list[bytes]:
        scopes = [http_scope(path=f"/{number}") for number in range(4)]
        answers = await asyncio.gather(*(call_async(adapter, scope) for scope in scopes))
        return [answer.body for answer in answers]

    assert asyncio.run(run()) == [b"/0", b"/1", b"/2", b"/3"]


def test_an_asgiref_local_crosses_both_ways(bridged: Bridged) -> None:
    """What Django keeps its connections and translations in."""
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        before = locals_.language
        locals_.language = "fr"
        start_response("200 OK", PLAIN)
        return [before.encode()]

    adapter = bridged(app)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        locals_.language = "de"
        await adapter(scope, receive, send)
        seen.append(locals_.language)

    assert call(middleware, http_scope()).body == b"de"
    assert seen == ["fr"]


def test_async_to_sync_inside_the_app_runs_on_the_servers_own_loop(bridged: Bridged) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note_the_loop() -> None:
        loops.append(asyncio.get_running_loop())

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        async_to_sync(note_the_loop)()
        start_response("200 OK", PLAIN)
        return [b"ok"]

    async def run() -> asyncio.AbstractEventLoop:
        adapter = bridged(app)
        for _ in range(2):
            await call_async(adapter, http_scope())
        return asyncio.get_running_loop()

    own = asyncio.run(run())
    assert loops == [own, own]


def test_async_to_sync_in_close_runs_on_the_servers_own_loop(bridged: Bridged) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def note_the_loop() -> None:
        loops.append(asyncio.get_running_loop())

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            yield b"a"
        finally:
            async_to_sync(note_the_loop)()

    async def run() -> asyncio.AbstractEventLoop:
        async with Exchange(bridged(app), http_scope()) as running:
            running.feed()
            await running.response()
        return asyncio.get_running_loop()

    own = asyncio.run(run())
    assert loops == [own]

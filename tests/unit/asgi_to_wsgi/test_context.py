"""Context variables and thread-sensitive code, shared with the server thread (P26)."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async

import bridge
from bridge.asgi_to_wsgi import thread_side
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, respond, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

user: ContextVar[str] = ContextVar("user", default="-")
local = Local()


def in_new_context(function: Any, *args: Any) -> Any:
    """Call a function in an empty context, like a new server thread."""
    return Context().run(function, *args)


# -- variables -------------------------------------------------------------------------------------


@http_app
async def returns_user(scope: Scope, receive: Receive, send: Send) -> None:
    body = user.get().encode()
    user.set(scope["path"])
    await respond(send, body)


@http_app
async def streams_user(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(piece(user.get().encode()))
    await asyncio.sleep(0)
    user.set(scope["path"])
    await send(piece(more=False))


@pytest.mark.parametrize("app", [returns_user, streams_user])
def test_variables_are_shared_with_the_server_thread_until_the_response_ends(
    to_wsgi: ToWsgi, app: Any
) -> None:
    adapter = to_wsgi(app)

    def serve() -> None:
        user.set("server")
        with WsgiExchange(adapter, environ_of(path="/from the app")) as exchange:
            assert exchange.chunk() == b"server"
            assert exchange.chunk() == b""
            assert user.get() == "/from the app"
        assert user.get() == "server"

    in_new_context(serve)
    assert user.get() == "-"


def test_a_variable_set_by_the_app_is_unset_after_the_response(to_wsgi: ToWsgi) -> None:
    adapter = to_wsgi(returns_user)

    def serve() -> None:
        response = WsgiExchange(adapter, environ_of(path="/first"))
        assert user.get() == "/first"
        assert response.read().body == b"-"
        assert user not in copy_context()
        assert call(adapter, environ_of(path="/second")).body == b"-", "the variable leaked"

    in_new_context(serve)


def test_the_lifespan_does_not_keep_the_variables_of_the_first_request(to_wsgi: ToWsgi) -> None:
    """The lifespan and the tasks that it starts outlive the request."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send, user.get().encode())
            return
        await receive()
        seen.append(user.get())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        seen.append(user.get())
        await send({"type": "lifespan.shutdown.complete"})

    adapter = to_wsgi(app)

    def serve() -> None:
        user.set("first")
        assert call(adapter, environ_of()).body == b"first"
        adapter.close()

    in_new_context(serve)
    assert seen == ["-", "-"]


def test_concurrent_requests_do_not_share_variables(to_wsgi: ToWsgi) -> None:
    second_started = asyncio.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        user.set(scope["path"])
        if scope["path"] == "/b":
            second_started.set()
        async with asyncio.timeout(TIMEOUT_S):
            await second_started.wait()
        await respond(send, user.get().encode())

    adapter = to_wsgi(app)
    first = Background(call, adapter, environ_of(path="/a"))
    second = Background(call, adapter, environ_of(path="/b"))

    assert [first.result().body, second.result().body] == [b"/a", b"/b"]


def test_a_response_can_be_closed_in_another_context(to_wsgi: ToWsgi) -> None:
    adapter = to_wsgi(returns_user)

    def serve() -> None:
        exchange = WsgiExchange(adapter, environ_of(path="/x"), validate=False)
        in_new_context(exchange.read)
        assert user.get() == "/x"

    in_new_context(serve)


@pytest.mark.parametrize("end", ["closed", "dropped"])
def test_a_response_that_ends_on_another_thread_is_freed(to_wsgi: ToWsgi, end: str) -> None:
    class Session:
        """A value that an app may keep in a variable."""

    session: ContextVar[Session] = ContextVar("session")
    sessions: list[weakref.ref[Session]] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        opened = Session()
        sessions.append(weakref.ref(opened))
        session.set(opened)
        await send(start())
        await send(piece(b"first"))
        await asyncio.sleep(0)
        await send(piece(more=False))

    adapter = to_wsgi(app)

    def serve() -> None:
        responses = [WsgiExchange(adapter, environ_of(), validate=False)]
        Background(responses[0].read if end == "closed" else responses.clear).result()

    for _ in range(3):
        in_new_context(serve)
    adapter.close()  # so that no task refers to a session
    gc.collect()

    assert len(sessions) == 3
    assert [each for each in sessions if each() is not None] == []


@http_app
async def sets_user_and_streams(scope: Scope, receive: Receive, send: Send) -> None:
    user.set(scope["path"])
    await send(start())
    await send(piece(b"x"))
    await asyncio.sleep(0)
    await send(piece(more=False))


@pytest.mark.parametrize("elsewhere", [0, 1, 2])
def test_a_response_that_ends_on_another_thread_does_not_affect_others(
    to_wsgi: ToWsgi, elsewhere: int
) -> None:
    adapter = to_wsgi(sets_user_and_streams)

    def serve() -> None:
        responses = [WsgiExchange(adapter, environ_of(path=f"/{number}")) for number in range(3)]
        Background(responses.pop(elsewhere).read).result()
        for response in reversed(responses):
            response.read()
        assert user not in copy_context()

    in_new_context(serve)


def test_a_file_response_sets_no_variables_on_the_closing_thread(to_wsgi: ToWsgi) -> None:
    """waitress closes it on the thread of its sockets, which must not run sync code either."""
    seen: list[Any] = []
    ran_on: list[threading.Thread] = []
    closed = threading.Event()

    def close() -> None:
        ran_on.append(threading.current_thread())
        closed.set()

    @http_app
    async def sends_a_file(scope: Scope, receive: Receive, send: Send) -> None:
        user.set("app")
        await sync_to_async(current_thread)()
        await send(start())
        await send({"type": "http.response.pathsend", "path": __file__})
        await sync_to_async(close)()

    adapter = to_wsgi(sends_a_file)

    def start_response(*head: Any) -> Any:
        seen.append(user.get())

    def serve() -> Any:
        result = adapter(environ_of(), start_response)
        assert seen == ["app"], "middleware can read variables in start_response"
        assert user not in copy_context()
        assert closed.wait(TIMEOUT_S), "the app does not wait for close()"
        return result

    result = in_new_context(serve)
    closing = Background(result.close)
    closing.result()
    assert closing.thread not in ran_on


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
@pytest.mark.parametrize("app", [returns_user, streams_user])
def test_responses_on_one_thread_can_end_in_any_order(
    to_wsgi: ToWsgi, app: Any, order: tuple[int, ...]
) -> None:
    """Middleware that combines several responses may close the first one first."""
    adapter = to_wsgi(app)

    def serve() -> None:
        responses = [WsgiExchange(adapter, environ_of(path=f"/{number}")) for number in range(3)]
        for number in order:
            responses[number].read()
        assert user not in copy_context()

    in_new_context(serve)


def test_internal_variables_are_not_visible_on_the_server_thread(to_wsgi: ToWsgi) -> None:
    seen: list[set[Any]] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(set(copy_context()))
        user.set("changed")
        await respond(send)

    adapter = to_wsgi(app)

    def serve() -> None:
        with WsgiExchange(adapter, environ_of()) as exchange:
            assert set(copy_context()) == {user}
            assert exchange.chunk() == b"fine"
        assert len(seen[0]) == 2

    in_new_context(serve)


def test_asgiref_locals_are_shared_with_the_server_thread(to_wsgi: ToWsgi) -> None:
    @http_app
    async def uses_local(scope: Scope, receive: Receive, send: Send) -> None:
        body = getattr(local, "user", "-").encode()
        local.user = "app"
        await respond(send, body)

    adapter = to_wsgi(uses_local)

    def serve() -> None:
        local.user = "server"
        with WsgiExchange(adapter, environ_of()) as exchange:
            assert exchange.chunk() == b"server"
            assert local.user == "app"
        assert local.user == "server"

    in_new_context(serve)


# -- variables of the layers around the adapter ----------------------------------------------------


@http_app
async def streams(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(piece(b"first"))
    await asyncio.sleep(0)
    await send(piece(b"second", more=False))


@http_app
async def sets_and_streams(scope: Scope, receive: Receive, send: Send) -> None:
    user.set("app")
    other.set("app")
    await streams(scope, receive, send)


other: ContextVar[str] = ContextVar("other")


@pytest.mark.parametrize("before", [None, "server"])
@pytest.mark.parametrize("app", [streams, sets_and_streams])
def test_a_variable_set_in_start_response_is_kept(
    to_wsgi: ToWsgi, app: Any, before: str | None
) -> None:
    """At the end of a streamed response, and after it: it belongs to the layer that has set it."""
    adapter = to_wsgi(app)
    seen: list[str] = []

    def start_response(*head: Any) -> Any:
        seen.append(user.get())
        user.set("start_response")

    def serve() -> None:
        if before is not None:
            user.set(before)
        result: Any = adapter(environ_of(), start_response)
        chunks = []
        for chunk in result:
            seen.append(user.get())
            chunks.append(chunk)
        seen.append(user.get())
        if hasattr(result, "close"):  # else it was complete at once
            result.close()
        seen.append(user.get())
        assert b"".join(chunks) == b"firstsecond"
        assert other not in copy_context()

    in_new_context(serve)
    at_first = "app" if app is sets_and_streams else before or "-"
    assert seen[0] == at_first
    assert set(seen[1:]) == {"start_response"}


# -- thread-sensitive code -------------------------------------------------------------------------


def current_thread() -> threading.Thread:
    return threading.current_thread()


@pytest.mark.parametrize("to_thread", [sync_to_async, bridge.sync_to_async])
def test_thread_sensitive_code_runs_on_the_server_thread(to_wsgi: ToWsgi, to_thread: Any) -> None:
    """asgiref guarantees this for async code under a sync server."""
    seen: list[Any] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await to_thread(current_thread)())
        await receive()
        seen.append(await to_thread(current_thread)())
        seen.append(await to_thread(current_thread, thread_sensitive=False)())
        await respond(send)

    assert call(to_wsgi(app), environ_of("POST", body=b"x")).body == b"fine"
    server_thread = threading.current_thread()
    assert seen[:2] == [server_thread, server_thread]
    assert seen[2] is not server_thread


def test_thread_sensitive_code_of_two_requests_runs_concurrently(to_wsgi: ToWsgi) -> None:
    """On asgiref's default, a single global thread, they would wait for each other forever."""
    barrier = threading.Barrier(2)

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(barrier.wait)(TIMEOUT_S)
        await respond(send)

    adapter = to_wsgi(app)
    requests = [Background(call, adapter, environ_of()) for _ in range(2)]

    assert [request.result().body for request in requests] == [b"fine", b"fine"]


def test_thread_sensitive_code_between_chunks_runs_on_the_server_thread(to_wsgi: ToWsgi) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await send(piece(b"x"))
            seen.append(await sync_to_async(current_thread)())
        await send(piece(more=False))

    assert call(to_wsgi(streams), environ_of()).body == b"xxx"
    assert seen == [threading.current_thread()] * 3


def test_thread_sensitive_code_leaves_no_state_on_the_server_thread(to_wsgi: ToWsgi) -> None:
    """asgiref stores the calling loop there. The thread may serve WSGI apps next."""
    before = dict(SyncToAsync.threadlocal.__dict__)

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(current_thread)()
        await respond(send)

    assert call(to_wsgi(app), environ_of()).body == b"fine"
    assert SyncToAsync.threadlocal.__dict__ == before


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_thread_sensitive_code_right_after_the_response_runs_on_the_server_thread(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch, delay_s: float
) -> None:
    """Django closes its response there, and its database connection belongs to that thread."""
    monkeypatch.setattr(thread_side, "LAST_STEP_S", TIMEOUT_S)
    seen: list[threading.Thread] = []
    closed = threading.Event()

    def close() -> None:
        seen.append(threading.current_thread())
        closed.set()

    @http_app
    async def like_django(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(current_thread)()
        await respond(send)
        threading.Event().wait(delay_s)  # the server thread continues meanwhile
        await sync_to_async(close)()

    with WsgiExchange(to_wsgi(like_django), environ_of()) as exchange:
        assert exchange.chunk() == b"fine"
    assert closed.wait(TIMEOUT_S)
    assert seen == [threading.current_thread()]


def test_an_app_that_blocks_the_loop_after_its_response_does_not_delay_the_server(
    to_wsgi: ToWsgi,
) -> None:
    """The server closes the connection after ``close()`` has returned."""
    served, in_time = threading.Event(), []
    seen: list[threading.Thread] = []

    @http_app
    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(current_thread)()
        await respond(send)
        in_time.append(served.wait(TIMEOUT_S))
        seen.append(await sync_to_async(current_thread)())

    adapter = to_wsgi(blocks)
    assert call(adapter, environ_of()).body == b"fine"
    served.set()
    adapter.close()

    assert in_time == [True]
    assert seen[0].name.startswith("bridge-after-response")


def test_background_work_runs_on_another_thread(to_wsgi: ToWsgi) -> None:
    release = threading.Event()
    seen: list[threading.Thread] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(current_thread)()
        await respond(send)
        assert await asyncio.to_thread(release.wait, TIMEOUT_S)
        seen.append(await sync_to_async(current_thread)())
        seen.append(await sync_to_async(current_thread)())

    adapter = to_wsgi(app)
    assert call(adapter, environ_of()).body == b"fine"
    release.set()
    adapter.close()

    assert seen[0] is seen[1]
    assert seen[0] is not threading.current_thread()
    assert seen[0].name.startswith("bridge-after-response")


def test_sync_code_only_after_the_response_runs_on_another_thread(
    to_wsgi: ToWsgi,
) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)
        seen.append(await sync_to_async(current_thread)())

    adapter = to_wsgi(works)
    assert call(adapter, environ_of()).body == b"fine"
    adapter.close()

    assert seen[0].name.startswith("bridge-after-response")


def test_sync_code_can_call_async_code_on_the_loop(to_wsgi: ToWsgi) -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(asyncio.get_running_loop())
        seen.append(await sync_to_async(current_thread)())

    def middle() -> None:
        async_to_sync(inner)()

    @http_app
    async def nested(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(asyncio.get_running_loop())
        await sync_to_async(middle)()
        await respond(send)

    assert call(to_wsgi(nested), environ_of()).body == b"fine"
    assert seen[0] is seen[1]
    assert seen[2] is threading.current_thread()


def test_an_exception_of_thread_sensitive_code_reaches_the_app(to_wsgi: ToWsgi) -> None:
    def breaks() -> None:
        raise KeyError("missing")

    @http_app
    async def catches(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(KeyError, match="missing"):
            await sync_to_async(breaks)()
        await respond(send)

    assert call(to_wsgi(catches), environ_of()).body == b"fine"


def test_thread_sensitive_code_runs_after_a_disconnect(to_wsgi: ToWsgi) -> None:
    """An app may clean up after a disconnect in sync code."""
    cleaned = threading.Event()

    @http_app
    async def cleans_up(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await sync_to_async(current_thread)()
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await sync_to_async(cleaned.set)()

    with WsgiExchange(to_wsgi(cleans_up), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert cleaned.wait(TIMEOUT_S)


def test_an_app_can_choose_its_own_thread(to_wsgi: ToWsgi) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def chooses(scope: Scope, receive: Receive, send: Send) -> None:
        with ThreadPoolExecutor(1, "chosen") as executor:
            async with ThreadSensitiveContext(executor=executor):
                seen.append(await sync_to_async(current_thread)())
        async with ThreadSensitiveContext():  # like Django: the adapter has entered one already
            seen.append(await sync_to_async(current_thread)())
        await respond(send)

    assert call(to_wsgi(chooses), environ_of()).body == b"fine"
    assert seen[0].name.startswith("chosen")
    assert seen[1] is threading.current_thread()


@pytest.mark.parametrize("to_sync", [async_to_sync, bridge.async_to_sync])
def test_a_wsgi_call_inside_async_to_sync_does_not_deadlock(to_wsgi: ToWsgi, to_sync: Any) -> None:
    """A WSGI app called by async code that a thread waits for further out."""
    seen: list[threading.Thread] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await sync_to_async(current_thread)())
        await respond(send)

    adapter = to_wsgi(app)

    async def outer() -> Any:
        return await sync_to_async(call)(adapter, environ_of())

    request = Background(to_sync(outer))

    assert request.result().body == b"fine"
    assert seen == [request.thread]

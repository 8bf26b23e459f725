"""Context variables and thread-sensitive code: an app belongs to the thread that calls it (P26)."""

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
from tests.unit.asgi_to_wsgi.apps import answer, http_app, piece, start
from tests.unit.asgi_to_wsgi.conftest import Adapted

user: ContextVar[str] = ContextVar("user", default="-")
local = Local()


def in_new_context(function: Any, *args: Any) -> Any:
    """As on a new thread of a server: nothing is set."""
    return Context().run(function, *args)


# -- variables -------------------------------------------------------------------------------------


@http_app
async def knows(scope: Scope, receive: Receive, send: Send) -> None:
    body = user.get().encode()
    user.set(scope["path"])
    await answer(send, body)


@http_app
async def knows_while_streaming(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start())
    await send(piece(user.get().encode()))
    await asyncio.sleep(0)
    user.set(scope["path"])
    await send(piece(more=False))


@pytest.mark.parametrize("app", [knows, knows_while_streaming])
def test_variables_go_in_and_come_out_and_are_gone_with_the_response(
    adapted: Adapted, app: Any
) -> None:
    adapter = adapted(app)

    def serve() -> None:
        user.set("caller")
        with WsgiExchange(adapter, environ_of(path="/from the app")) as exchange:
            assert exchange.chunk() == b"caller"
            assert exchange.chunk() == b""
            assert user.get() == "/from the app"
        assert user.get() == "caller"

    in_new_context(serve)
    assert user.get() == "-"


def test_a_variable_that_was_not_set_before_is_not_set_afterwards(adapted: Adapted) -> None:
    adapter = adapted(knows)

    def serve() -> None:
        response = WsgiExchange(adapter, environ_of(path="/first"))
        assert user.get() == "/first"
        assert response.read().body == b"-"
        assert user not in copy_context()
        assert call(adapter, environ_of(path="/second")).body == b"-", "it leaked into the next"

    in_new_context(serve)


def test_the_lifespan_does_not_keep_the_variables_of_the_first_request(adapted: Adapted) -> None:
    """It goes on with the tasks that it has started, and so would they."""
    seen: list[str] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send, user.get().encode())
            return
        await receive()
        seen.append(user.get())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        seen.append(user.get())
        await send({"type": "lifespan.shutdown.complete"})

    adapter = adapted(looks)

    def serve() -> None:
        user.set("first")
        assert call(adapter, environ_of()).body == b"first"
        adapter.close()

    in_new_context(serve)
    assert seen == ["-", "-"]


def test_requests_at_the_same_time_do_not_see_each_other(adapted: Adapted) -> None:
    meeting = asyncio.Event()

    @http_app
    async def meets(scope: Scope, receive: Receive, send: Send) -> None:
        user.set(scope["path"])
        if scope["path"] == "/b":
            meeting.set()
        async with asyncio.timeout(TIMEOUT_S):
            await meeting.wait()
        await answer(send, user.get().encode())

    adapter = adapted(meets)
    first = Background(call, adapter, environ_of(path="/a"))
    second = Background(call, adapter, environ_of(path="/b"))

    assert [first.result().body, second.result().body] == [b"/a", b"/b"]


def test_a_response_closed_in_another_context_does_no_harm(adapted: Adapted) -> None:
    adapter = adapted(knows)

    def serve() -> None:
        exchange = WsgiExchange(adapter, environ_of(path="/x"), validate=False)
        in_new_context(exchange.read)
        assert user.get() == "/x"

    in_new_context(serve)


@pytest.mark.parametrize("end", ["closed", "dropped"])
def test_a_response_that_ends_on_another_thread_is_not_kept(adapted: Adapted, end: str) -> None:
    class Session:
        """What an app may have in a variable."""

    session: ContextVar[Session] = ContextVar("session")
    made: list[weakref.ref[Session]] = []

    @http_app
    async def opens(scope: Scope, receive: Receive, send: Send) -> None:
        mine = Session()
        made.append(weakref.ref(mine))
        session.set(mine)
        await send(start())
        await send(piece(b"first"))
        await asyncio.sleep(0)
        await send(piece(more=False))

    adapter = adapted(opens)

    def serve() -> None:
        held = [WsgiExchange(adapter, environ_of(), validate=False)]
        Background(held[0].read if end == "closed" else held.clear).result()

    for _ in range(3):
        in_new_context(serve)
    adapter.close()  # so no task refers to one
    gc.collect()

    assert len(made) == 3
    assert [one for one in made if one() is not None] == []


@http_app
async def knows_and_streams(scope: Scope, receive: Receive, send: Send) -> None:
    user.set(scope["path"])
    await send(start())
    await send(piece(b"x"))
    await asyncio.sleep(0)
    await send(piece(more=False))


@pytest.mark.parametrize("elsewhere", [0, 1, 2])
def test_a_response_that_ends_on_another_thread_disturbs_no_other(
    adapted: Adapted, elsewhere: int
) -> None:
    adapter = adapted(knows_and_streams)

    def serve() -> None:
        open_ones = [WsgiExchange(adapter, environ_of(path=f"/{number}")) for number in range(3)]
        Background(open_ones.pop(elsewhere).read).result()
        for exchange in reversed(open_ones):
            exchange.read()
        assert user not in copy_context()

    in_new_context(serve)


def test_a_file_leaves_nothing_to_whoever_closes_it(adapted: Adapted) -> None:
    """waitress does so on the thread of its sockets: no variables there, and no sync code."""
    seen: list[Any] = []
    closed = threading.Event()

    def close() -> None:
        seen.append(threading.current_thread())
        closed.set()

    @http_app
    async def sends_itself(scope: Scope, receive: Receive, send: Send) -> None:
        user.set("app")
        await sync_to_async(where)()
        await send(start())
        await send({"type": "http.response.pathsend", "path": __file__})
        await sync_to_async(close)()

    adapter = adapted(sends_itself)

    def start_response(*head: Any) -> Any:
        seen.append(user.get())

    def serve() -> Any:
        result = adapter(environ_of(), start_response)
        assert seen[0] == "app", "what looks at the head may want to know"
        assert user not in copy_context()
        assert closed.wait(TIMEOUT_S), "the app waits for nobody who may never come"
        return result

    result = in_new_context(serve)
    closing = Background(result.close)
    closing.result()
    assert seen[1] is not closing.thread


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
@pytest.mark.parametrize("app", [knows, knows_while_streaming])
def test_responses_on_one_thread_may_end_in_any_order(
    adapted: Adapted, app: Any, order: tuple[int, ...]
) -> None:
    """A middleware that puts one page together from several closes the first one first."""
    adapter = adapted(app)

    def serve() -> None:
        open_ones = [WsgiExchange(adapter, environ_of(path=f"/{number}")) for number in range(3)]
        for number in order:
            open_ones[number].read()
        assert user not in copy_context()

    in_new_context(serve)


def test_what_the_bridge_sets_for_itself_is_not_seen(adapted: Adapted) -> None:
    seen: list[set[Any]] = []

    @http_app
    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(set(copy_context()))
        user.set("changed")
        await answer(send)

    adapter = adapted(looks)

    def serve() -> None:
        with WsgiExchange(adapter, environ_of()) as exchange:
            assert set(copy_context()) == {user}
            assert exchange.chunk() == b"fine"
        assert len(seen[0]) == 2

    in_new_context(serve)


def test_data_of_an_asgiref_local_crosses_both_ways(adapted: Adapted) -> None:
    @http_app
    async def knows_local(scope: Scope, receive: Receive, send: Send) -> None:
        body = getattr(local, "user", "-").encode()
        local.user = "app"
        await answer(send, body)

    adapter = adapted(knows_local)

    def serve() -> None:
        local.user = "caller"
        with WsgiExchange(adapter, environ_of()) as exchange:
            assert exchange.chunk() == b"caller"
            assert local.user == "app"
        assert local.user == "caller"

    in_new_context(serve)


# -- thread-sensitive code -------------------------------------------------------------------------


def where() -> threading.Thread:
    return threading.current_thread()


@pytest.mark.parametrize("to_thread", [sync_to_async, bridge.sync_to_async])
def test_thread_sensitive_code_runs_on_the_thread_that_called_the_app(
    adapted: Adapted, to_thread: Any
) -> None:
    """As asgiref promises for async code under a sync server."""
    seen: list[Any] = []

    @http_app
    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await to_thread(where)())
        await receive()
        seen.append(await to_thread(where)())
        seen.append(await to_thread(where, thread_sensitive=False)())
        await answer(send)

    assert call(adapted(asks), environ_of("POST", body=b"x")).body == b"fine"
    mine = threading.current_thread()
    assert seen[:2] == [mine, mine]
    assert seen[2] is not mine


def test_thread_sensitive_code_of_two_requests_runs_at_the_same_time(adapted: Adapted) -> None:
    """One global thread for all, asgiref's default, would never let them meet."""
    meeting = threading.Barrier(2)

    @http_app
    async def meets(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(meeting.wait)(TIMEOUT_S)
        await answer(send)

    adapter = adapted(meets)
    requests = [Background(call, adapter, environ_of()) for _ in range(2)]

    assert [request.result().body for request in requests] == [b"fine", b"fine"]


def test_thread_sensitive_code_in_mid_body_runs_on_the_calling_thread(adapted: Adapted) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await send(piece(b"x"))
            seen.append(await sync_to_async(where)())
        await send(piece(more=False))

    assert call(adapted(streams), environ_of()).body == b"xxx"
    assert seen == [threading.current_thread()] * 3


def test_thread_sensitive_code_leaves_the_calling_thread_as_it_was(adapted: Adapted) -> None:
    """asgiref notes there which loop called. The thread goes on, to requests of WSGI apps, too."""
    before = dict(SyncToAsync.threadlocal.__dict__)

    @http_app
    async def once(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(where)()
        await answer(send)

    assert call(adapted(once), environ_of()).body == b"fine"
    assert SyncToAsync.threadlocal.__dict__ == before


@pytest.mark.parametrize("slowly", [0.0, 0.05])
def test_what_an_app_does_right_after_its_response_runs_on_the_calling_thread(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch, slowly: float
) -> None:
    """Django closes its response there: the connection that it gives back is that thread's."""
    monkeypatch.setattr(thread_side, "LAST_STEP_S", TIMEOUT_S)
    seen: list[threading.Thread] = []
    closed = threading.Event()

    def close() -> None:
        seen.append(threading.current_thread())
        closed.set()

    @http_app
    async def like_django(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(where)()
        await answer(send)
        threading.Event().wait(slowly)  # the caller goes on meanwhile
        await sync_to_async(close)()

    with WsgiExchange(adapted(like_django), environ_of()) as exchange:
        assert exchange.chunk() == b"fine"
    assert closed.wait(TIMEOUT_S)
    assert seen == [threading.current_thread()]


def test_an_app_that_blocks_the_loop_after_its_response_does_not_hold_the_server(
    adapted: Adapted,
) -> None:
    """The server closes the connection only when ``close()`` has returned."""
    served, in_time = threading.Event(), []
    seen: list[threading.Thread] = []

    @http_app
    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(where)()
        await answer(send)
        in_time.append(served.wait(TIMEOUT_S))
        seen.append(await sync_to_async(where)())

    adapter = adapted(blocks)
    assert call(adapter, environ_of()).body == b"fine"
    served.set()
    adapter.close()

    assert in_time == [True]
    assert seen[0].name.startswith("bridge-after-response")


def test_later_work_gets_a_thread_of_its_own(adapted: Adapted) -> None:
    go_on = threading.Event()
    seen: list[threading.Thread] = []

    @http_app
    async def lingers(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(where)()
        await answer(send)
        assert await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        seen.append(await sync_to_async(where)())
        seen.append(await sync_to_async(where)())

    adapter = adapted(lingers)
    assert call(adapter, environ_of()).body == b"fine"
    go_on.set()
    adapter.close()

    assert seen[0] is seen[1]
    assert seen[0] is not threading.current_thread()
    assert seen[0].name.startswith("bridge-after-response")


def test_work_that_begins_after_the_response_gets_a_thread_of_its_own(adapted: Adapted) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        seen.append(await sync_to_async(where)())

    adapter = adapted(works)
    assert call(adapter, environ_of()).body == b"fine"
    adapter.close()

    assert seen[0].name.startswith("bridge-after-response")


def test_sync_code_may_go_back_to_the_loop(adapted: Adapted) -> None:
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(asyncio.get_running_loop())
        seen.append(await sync_to_async(where)())

    def middle() -> None:
        async_to_sync(inner)()

    @http_app
    async def nested(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(asyncio.get_running_loop())
        await sync_to_async(middle)()
        await answer(send)

    assert call(adapted(nested), environ_of()).body == b"fine"
    assert seen[0] is seen[1]
    assert seen[2] is threading.current_thread()


def test_an_exception_of_thread_sensitive_code_reaches_the_app(adapted: Adapted) -> None:
    def breaks() -> None:
        raise KeyError("missing")

    @http_app
    async def catches(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(KeyError, match="missing"):
            await sync_to_async(breaks)()
        await answer(send)

    assert call(adapted(catches), environ_of()).body == b"fine"


def test_thread_sensitive_code_of_a_client_that_left_still_runs(adapted: Adapted) -> None:
    """An app that cleans up after a disconnect gets its sync code done."""
    cleaned = threading.Event()

    @http_app
    async def cleans_up(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await sync_to_async(where)()
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await sync_to_async(cleaned.set)()

    with WsgiExchange(adapted(cleans_up), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert cleaned.wait(TIMEOUT_S)


def test_an_app_may_choose_its_own_thread(adapted: Adapted) -> None:
    seen: list[threading.Thread] = []

    @http_app
    async def chooses(scope: Scope, receive: Receive, send: Send) -> None:
        with ThreadPoolExecutor(1, "chosen") as executor:
            async with ThreadSensitiveContext(executor=executor):
                seen.append(await sync_to_async(where)())
        async with ThreadSensitiveContext():  # as Django does: ours is there already
            seen.append(await sync_to_async(where)())
        await answer(send)

    assert call(adapted(chooses), environ_of()).body == b"fine"
    assert seen[0].name.startswith("chosen")
    assert seen[1] is threading.current_thread()


@pytest.mark.parametrize("to_sync", [async_to_sync, bridge.async_to_sync])
def test_a_server_inside_async_to_sync_does_not_wait_for_itself(
    adapted: Adapted, to_sync: Any
) -> None:
    """A WSGI app that is called from async code, which a sync frame further out waits for."""
    seen: list[threading.Thread] = []

    @http_app
    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await sync_to_async(where)())
        await answer(send)

    adapter = adapted(asks)

    async def outer() -> Any:
        return await sync_to_async(call)(adapter, environ_of())

    request = Background(to_sync(outer))

    assert request.result().body == b"fine"
    assert seen == [request.thread]

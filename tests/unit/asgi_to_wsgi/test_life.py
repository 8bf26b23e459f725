"""An adapter's life: what starts when, once per process, and how it all ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any
from weakref import WeakSet

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import bridge
from bridge._threads.loop_thread import LoopThread
from bridge.asgi_to_wsgi import running_app
from bridge.asgi_to_wsgi.adapter import start_adapters
from bridge.asgi_to_wsgi.running_app import RunningApp, announce_close, close_running_apps
from bridge.contrib import gunicorn
from bridge.types import AsgiApp, Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, call, environ_of
from tests.unit.asgi_to_wsgi.apps import answer, http_app, sends
from tests.unit.asgi_to_wsgi.conftest import Adapted, leases

Log = Callable[[], list[str]]


def living(*, fail: Callable[[], Any] | None = None) -> tuple[AsgiApp, list[str]]:
    """An app with a lifespan, and the list of what happened to it."""
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            events.append("request")
            await answer(send, repr(sorted(scope["state"].items())).encode())
            scope["state"]["mine"] = True
            return
        await receive()
        events.append("startup")
        if fail is not None:
            fail()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    return app, events


def loops() -> list[LoopThread]:
    """The threads of event loops that are not on their way to their end."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, LoopThread)]
    return [thread for thread in threads if thread.users]


# -- starting --------------------------------------------------------------------------------------


def test_nothing_starts_before_the_first_request(adapted: Adapted) -> None:
    before = set(threading.enumerate())
    app, events = living()

    adapter = adapted(app)

    assert events == []
    assert set(threading.enumerate()) <= before
    call(adapter, environ_of())
    assert events == ["startup", "request"]


def test_the_lifespan_runs_once_and_each_request_gets_a_copy_of_its_state(
    adapted: Adapted,
) -> None:
    """P13."""
    app, events = living()
    adapter = adapted(app)

    bodies = {call(adapter, environ_of()).body for _ in range(3)}
    adapter.close()

    assert bodies == {b"[('pool', 'open')]"}
    assert events == ["startup", "request", "request", "request", "shutdown"]


def test_many_first_requests_at_once_start_the_app_once(adapted: Adapted) -> None:
    app, events = living()
    adapter = adapted(app)

    requests = [Background(call, adapter, environ_of()) for _ in range(8)]

    assert [request.result().status for request in requests] == [200] * 8
    assert events.count("startup") == 1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No adapter but those of this test: others may still wait for the garbage collector."""
    monkeypatch.setattr("bridge.asgi_to_wsgi.adapter._adapters", WeakSet())


@pytest.mark.usefixtures("alone")
def test_starting_by_hand_starts_every_adapter_of_the_process(adapted: Adapted) -> None:
    app, events = living()
    adapters = [adapted(app), adapted(app)]

    start_adapters()
    start_adapters()

    assert events == ["startup", "startup"]
    assert adapters[0].start().thread is adapters[1].start().thread, "they share a loop"


def test_lifespan_off_runs_none(adapted: Adapted) -> None:
    app, events = living()

    assert call(adapted(app, lifespan="off"), environ_of()).body == b"[]"
    assert events == ["request"]


def test_a_failed_startup_is_an_error_of_every_request_and_is_not_tried_again(
    adapted: Adapted, bridge_log: Log
) -> None:
    app, events = living(fail=lambda: None)
    adapter = adapted(app)

    for _ in range(2):
        with pytest.raises(bridge.LifespanFailed, match=r"startup of .*living.* no database"):
            call(adapter, environ_of())

    assert events == ["startup"]
    assert bridge_log() == [], "the server logs what is raised to it"


def test_a_startup_that_takes_too_long_is_an_error_and_no_hang(adapted: Adapted) -> None:
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    adapter = adapted(hangs, startup_timeout_s=0.01)

    with pytest.raises(bridge.LifespanFailed, match=r"hangs took longer than startup_timeout_s=0"):
        call(adapter, environ_of())


async def directly(function: Callable[[], None]) -> None:
    """Call it on the loop's thread."""
    function()


@pytest.mark.parametrize("run", [asyncio.to_thread, directly])
def test_a_lifespan_that_waits_for_itself_is_refused(adapted: Adapted, run: Any) -> None:
    """One that warms itself up, say. While the app is up, the same call is an ordinary one."""
    adapters: list[bridge.AsgiToWsgi] = []
    bodies: list[bytes] = []
    called = threading.Event()
    left_behind: list[Context] = []

    def call_itself() -> None:
        bodies.append(call(adapters[0], environ_of()).body)

    async def refused() -> None:
        with pytest.raises(
            bridge.DeadlockError, match=r"called the app as a WSGI app|wait for itself"
        ):
            await run(call_itself)

    async def warms_up(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        await receive()
        await refused()
        left_behind.append(copy_context())
        await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(call_itself)
        called.set()
        await receive()
        await refused()
        await send({"type": "lifespan.shutdown.complete"})

    adapters.append(adapted(warms_up))
    assert call(adapters[0], environ_of()).body == b"fine"
    assert called.wait(TIMEOUT_S)
    adapters[0].close()
    assert bodies == [b"fine"]
    called.clear()
    left_behind[0].run(call_itself)  # as a thread that the old life has left behind
    assert bodies[1] == b"fine"
    assert called.wait(TIMEOUT_S)


def test_a_startup_that_blocks_the_loop_is_an_error_that_shows_where(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class SinceItBlocks(float):
        """A time that begins when the loop is blocked: before, it may not have had its turn yet."""

        def __radd__(self, startup_timeout_s: float) -> float:
            assert inside.wait(TIMEOUT_S)
            return float(self)

    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        inside.set()
        go_on.wait(TIMEOUT_S)

    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.LOOP_GRACE_S", SinceItBlocks(0.01))
    adapter = adapted(blocks, startup_timeout_s=TIMEOUT_S)

    with pytest.raises(bridge.LifespanFailed, match=r"it blocks the event loop at(.|\n)*in blocks"):
        call(adapter, environ_of())
    go_on.set()


def test_lifespan_on_wants_a_lifespan(adapted: Adapted) -> None:
    with pytest.raises(bridge.LifespanFailed, match="this app has no lifespan"):
        call(adapted(sends(), lifespan="on"), environ_of())


def test_frameworks_share_what_they_opened_at_startup(adapted: Adapted) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"number": 7}

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.state.number))

    app = Starlette(routes=[Route("/", endpoint)], lifespan=lifespan)

    assert call(adapted(app), environ_of()).body == b"7"


# -- ending ----------------------------------------------------------------------------------------


def test_a_closed_adapter_ends_its_loop_and_starts_again_with_the_next_request(
    adapted: Adapted,
) -> None:
    app, events = living()
    adapter = adapted(app, loop_factory=lambda: asyncio.new_event_loop())
    call(adapter, environ_of())
    (thread,) = (thread for thread in loops() if thread.factory is adapter.options.loop_factory)

    adapter.close()
    adapter.close()

    assert not thread.is_alive()
    assert events == ["startup", "request", "shutdown"]
    assert call(adapter, environ_of()).status == 200
    assert events[3:] == ["startup", "request"]


def test_a_request_that_comes_while_it_closes_waits_for_the_end(adapted: Adapted) -> None:
    """What the old life still holds, a lock or a port, may be what the new one opens."""
    ending, go_on = threading.Event(), threading.Event()
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        await receive()
        events.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        ending.set()
        assert await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = adapted(app)
    call(adapter, environ_of())
    closing = Background(adapter.close)
    assert ending.wait(TIMEOUT_S)
    request = Background(call, adapter, environ_of())
    while not adapter._lock.locked():
        assert request.thread.is_alive(), "it did not wait"
    go_on.set()
    closing.result()

    assert request.result().body == b"fine"
    assert events == ["startup", "shutdown", "startup"]


def test_closing_waits_for_the_loop_to_be_given_back(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = LoopThread.release

    def late(thread: LoopThread) -> None:
        threading.Event().wait(0.05)
        release(thread)

    monkeypatch.setattr(LoopThread, "release", late)
    adapter = adapted(sends(), loop_factory=lambda: asyncio.new_event_loop(), lifespan="off")
    thread = adapter.start().thread

    adapter.close()

    assert not thread.is_alive()


def test_a_dropped_adapter_shuts_its_app_down(adapted: Adapted) -> None:
    app, events = living()
    adapter = bridge.AsgiToWsgi(app, loop_factory=lambda: asyncio.new_event_loop())
    call(adapter, environ_of())
    thread = adapter.start().thread

    del adapter
    gc.collect()
    thread.join(TIMEOUT_S)

    assert not thread.is_alive()
    assert events == ["startup", "request", "shutdown"]


def test_a_hundred_adapters_made_and_dropped_leave_no_thread() -> None:
    """P12."""
    before = set(threading.enumerate())

    def factory() -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    app, events = living()
    for _ in range(100):
        call(bridge.AsgiToWsgi(app, loop_factory=factory), environ_of())
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if isinstance(thread, LoopThread) and thread.factory is factory:
            thread.join(TIMEOUT_S)

    left = {t for t in set(threading.enumerate()) - before if isinstance(t, LoopThread)}
    assert not left
    assert events.count("shutdown") == 100


def test_closing_waits_for_requests_and_for_their_background_work(
    adapted: Adapted, bridge_log: Log
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    @http_app
    async def works(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/background":
            await answer(send)
        inside.set()
        assert await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        done.append(scope["path"])
        if scope["path"] == "/slow":
            await answer(send)

    adapter = adapted(works)
    assert call(adapter, environ_of(path="/background")).body == b"fine"
    slow = Background(call, adapter, environ_of(path="/slow"))
    assert inside.wait(TIMEOUT_S)
    while len(adapter.start().requests) < 2:
        pass  # the second request is on its way
    closing = Background(adapter.close)
    go_on.set()
    closing.result()

    assert slow.result().body == b"fine"
    assert sorted(done) == ["/background", "/slow"]
    assert bridge_log() == []


def test_what_does_not_end_is_cancelled_at_the_end_of_the_grace(
    adapted: Adapted, bridge_log: Log
) -> None:
    inside = threading.Event()
    cancelled: list[str] = []

    @http_app
    async def stays(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/background":
            await answer(send)
        else:
            inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(scope["path"])

    adapter = adapted(stays, shutdown_timeout_s=0.01)
    assert call(adapter, environ_of(path="/background")).body == b"fine"
    request = Background(call, adapter, environ_of(path="/request"))
    assert inside.wait(TIMEOUT_S)
    adapter.close()

    with pytest.raises(bridge.PoolClosed, match="was shut down when no response has started"):
        request.result()
    assert sorted(cancelled) == ["/background", "/request"]
    assert "cancelled 2 task(s) that still ran after 0.01 s" in bridge_log()[0]


def test_a_request_that_ignores_its_cancellation_does_not_hold_its_caller(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.01)
    monkeypatch.setattr("bridge._threads.loop_thread.WIND_DOWN_S", 0.01)
    inside = threading.Event()

    @http_app
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()  # until the loop itself ends

    adapter = adapted(stubborn, shutdown_timeout_s=0.01)
    request = Background(call, adapter, environ_of())
    assert inside.wait(TIMEOUT_S)
    adapter.close()

    with pytest.raises(bridge.PoolClosed):
        request.result()


@pytest.mark.parametrize("busy", [True, False], ids=["endless", "idle"])
def test_the_time_of_the_requests_is_not_that_of_the_shutdown(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """A server that expects the close lets requests end first: the app shuts down after them."""
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.0)
    events: list[str] = []
    inside = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send)
            inside.set()
            await asyncio.Event().wait()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while asyncio.get_running_loop().time() < (live.cancels_at or 0) + 0.05:
            await asyncio.sleep(0.01)  # it is slow, too
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = adapted(app, shutdown_timeout_s=TIMEOUT_S)
    live = adapter.start()
    if busy:
        assert call(adapter, environ_of()).body == b"fine"
        assert inside.wait(TIMEOUT_S)
    live.announce_close(2 * TIMEOUT_S, requests_s=0.01)
    adapter.close()

    assert events == ["shutdown"]


def test_a_server_that_does_not_wait_so_long_cuts_the_shutdown(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    adapter = adapted(app, shutdown_timeout_s=10 * TIMEOUT_S)
    adapter.start().announce_close(0.02, requests_s=0.01)

    with pytest.raises(bridge.LifespanFailed, match="took longer than"):
        adapter.close()


def test_a_failed_shutdown_is_raised_by_close(adapted: Adapted) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    adapter = adapted(app)
    adapter.start()

    with pytest.raises(bridge.LifespanFailed, match="still busy"):
        adapter.close()


def test_closing_on_the_loops_own_thread_is_refused(adapted: Adapted) -> None:
    closed: list[bridge.AsgiToWsgi] = []

    @http_app
    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        closed[0].close()

    closed.append(adapted(closes))

    with pytest.raises(bridge.DeadlockError):
        call(closed[0], environ_of())


@pytest.mark.usefixtures("alone")
def test_the_hooks_of_gunicorn_start_and_stop_every_app() -> None:
    before = leases()
    app, events = living()
    adapter = bridge.AsgiToWsgi(app)

    gunicorn.post_worker_init(None)
    assert events == ["startup"]
    gunicorn.worker_exit(None, None)
    assert events == ["startup", "shutdown"]

    assert leases() == before
    with pytest.raises(bridge.PoolClosed, match="is shut down"):
        call(adapter, environ_of())


def test_an_app_may_start_while_a_signal_tells_all_of_their_end(adapted: Adapted) -> None:
    """On another thread, between any two lines: gunicorn's own handler still has to be called."""
    app, events = living()
    live = adapted(app).start()
    others: list[RunningApp] = []

    def start_another(*event: Any) -> Any:
        other = RunningApp.__new__(RunningApp)
        other.pid = -1  # of no concern to this process
        others.append(other)
        running_app._running_apps.add(other)
        return start_another

    outer = sys.gettrace()
    sys.settrace(start_another)
    try:
        announce_close(TIMEOUT_S, requests_s=TIMEOUT_S)
    finally:
        sys.settrace(outer)
        for other in others:
            running_app._running_apps.discard(other)

    assert others
    live.close()
    assert events == ["startup", "shutdown"]


@pytest.mark.usefixtures("alone")
def test_a_process_that_ends_on_the_loops_own_thread_says_so(bridge_log: Log) -> None:
    """uWSGI with ``--lazy-apps`` runs ``exit()`` on whichever thread gets its SIGTERM."""
    app, events = living()
    adapter = bridge.AsgiToWsgi(app)
    live = adapter.start()

    async def exits() -> None:
        close_running_apps()

    live.thread.submit(exits()).result(TIMEOUT_S)

    [line] = [line for line in bridge_log() if "not shut down" in line]
    assert line.endswith("was not shut down: the process ends on the thread of its event loop")
    adapter.close()
    assert events == ["startup", "shutdown"]


# -- processes -------------------------------------------------------------------------------------

AT_EXIT = """
import asyncio, threading
import bridge

main_has_ended = []


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        while not main_has_ended:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        print("the background work is done")
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shutdown in", await asyncio.to_thread(lambda: "a new thread"))
    await send({"type": "lifespan.shutdown.complete"})

environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}
adapter = bridge.to_wsgi(app)
adapter(environ, lambda *head: None)
print("main ends")
main_has_ended.append(True)
"""


@pytest.mark.skipif(
    sys.version_info[:3] in ((3, 12, 0), (3, 12, 1)),
    reason="these start no thread at exit (python/cpython#113964)",
)
def test_at_exit_the_work_is_done_and_the_app_is_shut_down() -> None:
    """Also when its shutdown needs a thread: ``atexit`` would come too late for that."""
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = ["main ends", "the background work is done", "shutdown in a new thread"]
    assert (ran.stdout.splitlines(), ran.stderr) == (lines, "")


def test_a_fork_starts_the_app_anew_and_leaves_the_parents_alone(adapted: Adapted) -> None:
    """P12: gunicorn --preload, after a request in the master."""
    app, events = living()
    adapter = adapted(app)
    call(adapter, environ_of())
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # the child: report, and leave without the test runner's own exit
        try:
            response = call(adapter, environ_of())
            adapter.close()
            os.write(writing, repr([response.body, *events]).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(reading, 1000).decode()
    os.close(reading)
    os.close(writing)

    happened = ["startup", "request", "startup", "request", "shutdown"]
    assert told == repr([b"[('pool', 'open')]", *happened])
    assert events == ["startup", "request"]
    assert call(adapter, environ_of()).status == 200


def test_a_fork_in_the_middle_of_a_startup_does_not_inherit_its_lock(adapted: Adapted) -> None:
    starting, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        await receive()
        if os.getpid() == parent:
            starting.set()
            await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    adapter = adapted(slow)
    request = Background(call, adapter, environ_of())
    assert starting.wait(TIMEOUT_S)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writing, call(adapter, environ_of()).body)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(reading, 1000)
    os.close(reading)
    os.close(writing)
    go_on.set()

    assert told == b"fine"
    assert request.result().body == b"fine"

"""Startup and shutdown of the app behind ``to_wsgi``: once per process, with its event loop."""

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
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
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
from bridge.router.router import start_apps
from bridge.types import AsgiApp, Receive, Scope, Send
from tests.harness.asgi import raising_task_factory
from tests.harness.wsgi import TIMEOUT_S, Background, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, respond, sends
from tests.unit.asgi_to_wsgi.conftest import ToWsgi, loop_users

Log = Callable[[], list[str]]


def lifespan_app(*, fail: Callable[[], Any] | None = None) -> tuple[AsgiApp, list[str]]:
    """An app with a lifespan, and the list of its events."""
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            events.append("request")
            await respond(send, repr(sorted(scope["state"].items())).encode())
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
    """The event loop threads that have users."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, LoopThread)]
    return [thread for thread in threads if thread.users]


# -- starting --------------------------------------------------------------------------------------


def test_nothing_starts_before_the_first_request(to_wsgi: ToWsgi) -> None:
    before = set(threading.enumerate())
    app, events = lifespan_app()

    adapter = to_wsgi(app)

    assert events == []
    assert set(threading.enumerate()) <= before
    call(adapter, environ_of())
    assert events == ["startup", "request"]


def test_the_lifespan_runs_once_and_each_request_gets_a_copy_of_its_state(
    to_wsgi: ToWsgi,
) -> None:
    """P13."""
    app, events = lifespan_app()
    adapter = to_wsgi(app)

    bodies = {call(adapter, environ_of()).body for _ in range(3)}
    adapter.close()

    assert bodies == {b"[('pool', 'open')]"}
    assert events == ["startup", "request", "request", "request", "shutdown"]


def test_concurrent_first_requests_start_the_app_once(to_wsgi: ToWsgi) -> None:
    app, events = lifespan_app()
    adapter = to_wsgi(app)

    requests = [Background(call, adapter, environ_of()) for _ in range(8)]

    assert [request.result().status for request in requests] == [200] * 8
    assert events.count("startup") == 1


@pytest.mark.usefixtures("no_other_adapters")
def test_start_adapters_starts_every_adapter_of_the_process(to_wsgi: ToWsgi) -> None:
    app, events = lifespan_app()
    adapters = [to_wsgi(app), to_wsgi(app)]

    start_adapters()
    start_adapters()

    assert events == ["startup", "startup"]
    assert adapters[0].start().thread is adapters[1].start().thread, "adapters share a loop"


@pytest.mark.usefixtures("no_other_adapters")
def test_an_app_starts_once_if_it_has_a_second_adapter(to_wsgi: ToWsgi) -> None:
    app, events = lifespan_app()
    other, of_other = lifespan_app()
    adapters = [to_wsgi(app), to_wsgi(app), to_wsgi(other)]
    start_apps(adapters[1])
    assert events == of_other == ["startup"]
    adapters[1].close()
    assert events == ["startup", "shutdown"]


def test_lifespan_off_runs_no_lifespan(to_wsgi: ToWsgi) -> None:
    app, events = lifespan_app()

    assert call(to_wsgi(app, lifespan="off"), environ_of()).body == b"[]"
    assert events == ["request"]


def test_a_failed_startup_is_raised_by_every_request_and_not_retried(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    app, events = lifespan_app(fail=lambda: None)
    adapter = to_wsgi(app)

    for _ in range(2):
        with pytest.raises(bridge.LifespanFailed, match=r"startup of .*lifespan_app.* no database"):
            call(adapter, environ_of())

    assert events == ["startup"]
    assert bridge_log() == [], "the server logs the exception"


def test_a_startup_timeout_is_an_error(to_wsgi: ToWsgi) -> None:
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    adapter = to_wsgi(hangs, startup_timeout_s=0.01)

    with pytest.raises(bridge.LifespanFailed, match=r"hangs took longer than startup_timeout_s=0"):
        call(adapter, environ_of())


async def on_loop_thread(function: Callable[[], None]) -> None:
    """Call a function on the loop thread."""
    function()


@pytest.mark.parametrize("run", [asyncio.to_thread, on_loop_thread])
def test_a_lifespan_that_calls_its_own_app_is_a_deadlock_error(to_wsgi: ToWsgi, run: Any) -> None:
    """For example, a warm-up request. After the startup, the same call is legal."""
    adapters: list[bridge.AsgiToWsgi] = []
    bodies: list[bytes] = []
    called = threading.Event()
    contexts: list[Context] = []

    def call_itself() -> None:
        bodies.append(call(adapters[0], environ_of()).body)

    async def expect_deadlock_error() -> None:
        with pytest.raises(
            bridge.DeadlockError, match=r"called the app as a WSGI app|wait for itself"
        ):
            await run(call_itself)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send)
            return
        await receive()
        await expect_deadlock_error()
        contexts.append(copy_context())
        await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(call_itself)
        called.set()
        await receive()
        await expect_deadlock_error()
        await send({"type": "lifespan.shutdown.complete"})

    adapters.append(to_wsgi(app))
    assert call(adapters[0], environ_of()).body == b"fine"
    assert called.wait(TIMEOUT_S)
    adapters[0].close()
    assert bodies == [b"fine"]
    called.clear()
    contexts[0].run(call_itself)  # like a thread of the closed app that still runs
    assert bodies[1] == b"fine"
    assert called.wait(TIMEOUT_S)


def test_a_startup_that_blocks_the_loop_is_an_error_with_the_blocking_line(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = threading.Event(), threading.Event()

    class SinceItBlocks(float):
        """A timeout that starts when the loop is blocked. On a busy machine it may start late."""

        def __radd__(self, startup_timeout_s: float) -> float:
            assert started.wait(TIMEOUT_S)
            return float(self)

    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        release.wait(TIMEOUT_S)

    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.LOOP_GRACE_S", SinceItBlocks(0.01))
    adapter = to_wsgi(blocks, startup_timeout_s=TIMEOUT_S)

    with pytest.raises(bridge.LifespanFailed, match=r"it blocks the event loop at(.|\n)*in blocks"):
        call(adapter, environ_of())
    release.set()


def test_lifespan_on_requires_a_lifespan(to_wsgi: ToWsgi) -> None:
    with pytest.raises(bridge.LifespanFailed, match="this app has no lifespan"):
        call(to_wsgi(sends(), lifespan="on"), environ_of())


def test_requests_see_the_lifespan_state_of_a_framework(to_wsgi: ToWsgi) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"number": 7}

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(request.state.number))

    app = Starlette(routes=[Route("/", endpoint)], lifespan=lifespan)

    assert call(to_wsgi(app), environ_of()).body == b"7"


# -- closing ---------------------------------------------------------------------------------------


def test_a_closed_adapter_stops_its_loop_and_starts_again_with_the_next_request(
    to_wsgi: ToWsgi,
) -> None:
    app, events = lifespan_app()
    adapter = to_wsgi(app, loop_factory=lambda: asyncio.new_event_loop())
    call(adapter, environ_of())
    (thread,) = (thread for thread in loops() if thread.factory is adapter.options.loop_factory)

    adapter.close()
    adapter.close()

    assert not thread.is_alive()
    assert events == ["startup", "request", "shutdown"]
    assert call(adapter, environ_of()).status == 200
    assert events[3:] == ["startup", "request"]


def test_a_request_during_close_waits_for_the_shutdown(to_wsgi: ToWsgi) -> None:
    """The next startup may open what the shutdown has not closed yet, such as a port."""
    shutting_down, release = threading.Event(), threading.Event()
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send)
            return
        await receive()
        events.append("startup")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        shutting_down.set()
        assert await asyncio.to_thread(release.wait, TIMEOUT_S)
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = to_wsgi(app)
    call(adapter, environ_of())
    closing = Background(adapter.close)
    assert shutting_down.wait(TIMEOUT_S)
    request = Background(call, adapter, environ_of())
    while not adapter._lock.locked():
        assert request.thread.is_alive(), "the request did not wait"
    release.set()
    closing.result()

    assert request.result().body == b"fine"
    assert events == ["startup", "shutdown", "startup"]


def test_close_waits_until_the_loop_is_released(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = LoopThread.release

    def release_late(thread: LoopThread) -> None:
        threading.Event().wait(0.05)
        release(thread)

    monkeypatch.setattr(LoopThread, "release", release_late)
    adapter = to_wsgi(sends(), loop_factory=lambda: asyncio.new_event_loop(), lifespan="off")
    thread = adapter.start().thread

    adapter.close()

    assert not thread.is_alive()


def test_a_garbage_collected_adapter_shuts_its_app_down(to_wsgi: ToWsgi) -> None:
    app, events = lifespan_app()
    adapter = bridge.AsgiToWsgi(app, loop_factory=lambda: asyncio.new_event_loop())
    call(adapter, environ_of())
    thread = adapter.start().thread

    del adapter
    gc.collect()
    thread.join(TIMEOUT_S)

    assert not thread.is_alive()
    assert events == ["startup", "request", "shutdown"]


def test_a_hundred_garbage_collected_adapters_leave_no_thread() -> None:
    """P12."""
    before = set(threading.enumerate())

    def factory() -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    app, events = lifespan_app()
    for _ in range(100):
        call(bridge.AsgiToWsgi(app, loop_factory=factory), environ_of())
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if isinstance(thread, LoopThread) and thread.factory is factory:
            thread.join(TIMEOUT_S)

    remaining = {t for t in set(threading.enumerate()) - before if isinstance(t, LoopThread)}
    assert not remaining
    assert events.count("shutdown") == 100


def test_close_waits_for_requests_and_background_work(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    started, release = threading.Event(), threading.Event()
    done: list[str] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/background":
            await respond(send)
        started.set()
        assert await asyncio.to_thread(release.wait, TIMEOUT_S)
        done.append(scope["path"])
        if scope["path"] == "/slow":
            await respond(send)

    adapter = to_wsgi(app)
    assert call(adapter, environ_of(path="/background")).body == b"fine"
    slow = Background(call, adapter, environ_of(path="/slow"))
    assert started.wait(TIMEOUT_S)
    while len(adapter.start().requests) < 2:
        pass  # the second request has not been added yet
    closing = Background(adapter.close)
    release.set()
    closing.result()

    assert slow.result().body == b"fine"
    assert sorted(done) == ["/background", "/slow"]
    assert bridge_log() == []


def test_close_cancels_requests_after_shutdown_timeout_s(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    started = threading.Event()
    cancelled: list[str] = []

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/background":
            await respond(send)
        else:
            started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(scope["path"])

    adapter = to_wsgi(app, shutdown_timeout_s=0.01)
    assert call(adapter, environ_of(path="/background")).body == b"fine"
    request = Background(call, adapter, environ_of(path="/request"))
    assert started.wait(TIMEOUT_S)
    adapter.close()

    with pytest.raises(bridge.PoolClosed, match=r"was shut down \(no response has started\)"):
        request.result()
    assert sorted(cancelled) == ["/background", "/request"]
    assert "cancelled 2 task(s) that still ran after 0.01 s" in bridge_log()[0]


def test_a_request_that_ignores_cancellation_does_not_block_the_server_thread(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.01)
    started = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()  # until the loop stops

    # Its own loop: that stops with the adapter, and cancels the task once more.
    adapter = to_wsgi(app, shutdown_timeout_s=0.01, loop_factory=asyncio.new_event_loop)
    request = Background(call, adapter, environ_of())
    assert started.wait(TIMEOUT_S)
    adapter.close()

    with pytest.raises(bridge.PoolClosed):
        request.result()


@pytest.mark.parametrize("busy", [True, False], ids=["endless", "idle"])
def test_requests_and_the_shutdown_have_separate_timeouts(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """gunicorn announces the close: requests end first, then the app shuts down."""
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.0)
    events: list[str] = []
    started = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send)
            started.set()
            await asyncio.Event().wait()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while asyncio.get_running_loop().time() < (running.cancels_at or 0) + 0.05:
            await asyncio.sleep(0.01)  # the shutdown is slow, too
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = to_wsgi(app, shutdown_timeout_s=TIMEOUT_S)
    running = adapter.start()
    if busy:
        assert call(adapter, environ_of()).body == b"fine"
        assert started.wait(TIMEOUT_S)
    running.announce_close(2 * TIMEOUT_S, requests_s=0.01)
    adapter.close()

    assert events == ["shutdown"]


def test_an_announced_close_limits_the_shutdown(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.asgi_to_wsgi.running_app.CANCEL_GRACE_S", 0.0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    adapter = to_wsgi(app, shutdown_timeout_s=10 * TIMEOUT_S)
    adapter.start().announce_close(0.02, requests_s=0.01)

    with pytest.raises(bridge.LifespanFailed, match="took longer than"):
        adapter.close()


def test_a_failed_shutdown_is_raised_by_close(to_wsgi: ToWsgi) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    adapter = to_wsgi(app)
    adapter.start()

    with pytest.raises(bridge.LifespanFailed, match="still busy"):
        adapter.close()


def test_closing_on_the_loop_thread_is_a_deadlock_error(to_wsgi: ToWsgi) -> None:
    closed: list[bridge.AsgiToWsgi] = []

    @http_app
    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        closed[0].close()

    closed.append(to_wsgi(closes))

    with pytest.raises(bridge.DeadlockError):
        call(closed[0], environ_of())


@pytest.mark.usefixtures("no_other_adapters")
def test_gunicorn_hooks_start_and_stop_every_app() -> None:
    before = loop_users()
    app, events = lifespan_app()
    adapter = bridge.AsgiToWsgi(app)

    gunicorn.post_worker_init(SimpleNamespace(app=SimpleNamespace(wsgi=lambda: adapter)))
    assert events == ["startup"]
    gunicorn.worker_exit(None, None)
    assert events == ["startup", "shutdown"]

    assert loop_users() == before
    with pytest.raises(bridge.PoolClosed, match="is shut down"):
        call(adapter, environ_of())


# -- with a task factory of the app that raises ----------------------------------------------------


def sets_factory(events: list[str]) -> AsgiApp:
    """An app that sets it at startup. ``/wait`` responds, and then runs until it is cancelled."""

    async def left_open() -> AsyncIterator[None]:
        try:
            yield
        finally:
            events.append("generator closed")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_task_factory(raising_task_factory)
        app.state.generator = left_open()
        await anext(app.state.generator)
        yield
        events.append("shutdown")

    starlette = Starlette(lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await starlette(scope, receive, send)
            return
        await respond(send)
        if scope["path"] == "/wait":
            try:
                await asyncio.Event().wait()
            finally:
                events.append("cancelled")

    return app


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_task_factory_that_raises_does_not_prevent_the_shutdown(
    to_wsgi: ToWsgi, bridge_log: Log, factory: Any
) -> None:
    events: list[str] = []
    app = sets_factory(events)
    adapter = to_wsgi(app, loop_factory=factory)
    for _ in range(2):  # it can start again
        assert call(adapter, environ_of()).body == b"fine"
        adapter.close()

    assert events == ["shutdown", "generator closed"] * 2
    assert bridge_log() == []


def new_loop() -> asyncio.AbstractEventLoop:
    """Makes a loop for one test: the default one, with its task factory, is kept for others."""
    return asyncio.new_event_loop()


def test_with_it_requests_are_cancelled_and_other_apps_start_and_stop(to_wsgi: ToWsgi) -> None:
    events: list[str] = []
    adapter = to_wsgi(sets_factory(events), shutdown_timeout_s=0.01, loop_factory=new_loop)
    assert call(adapter, environ_of(path="/wait")).body == b"fine"
    other, other_events = lifespan_app()
    second = to_wsgi(other, loop_factory=new_loop)
    assert call(second, environ_of()).status == 200

    announce_close(15, requests_s=0.01)
    second.close()
    adapter.close()

    assert other_events == ["startup", "request", "shutdown"]
    assert events[:2] == ["cancelled", "shutdown"]


def test_an_app_can_start_while_a_close_is_announced(to_wsgi: ToWsgi) -> None:
    """On another thread and at any line. gunicorn's signal handler must still be called."""
    app, events = lifespan_app()
    running = to_wsgi(app).start()
    others: list[RunningApp] = []

    def start_another(*event: Any) -> Any:
        other = RunningApp.__new__(RunningApp)
        other.pid = -1  # belongs to another process
        others.append(other)
        running_app._running_apps.add(other)
        return start_another

    previous = sys.gettrace()
    sys.settrace(start_another)
    try:
        announce_close(TIMEOUT_S, requests_s=TIMEOUT_S)
    finally:
        sys.settrace(previous)
        for other in others:
            running_app._running_apps.discard(other)

    assert others
    running.close()
    assert events == ["startup", "shutdown"]


@pytest.mark.usefixtures("no_other_adapters")
def test_an_exit_on_the_loop_thread_is_logged(bridge_log: Log) -> None:
    """uWSGI with ``--lazy-apps`` runs ``exit()`` on the thread that receives SIGTERM."""
    app, events = lifespan_app()
    adapter = bridge.AsgiToWsgi(app)
    running = adapter.start()

    async def exits() -> None:
        close_running_apps()

    running.thread.submit(exits()).result(TIMEOUT_S)

    [line] = [line for line in bridge_log() if "not shut down" in line]
    assert line.endswith("was not shut down: the process ends on the thread of its event loop")
    adapter.close()
    assert events == ["startup", "shutdown"]


# -- processes -------------------------------------------------------------------------------------

AT_EXIT = """
import asyncio, threading
import bridge

main_ended = []


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        while not main_ended:
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
main_ended.append(True)
"""


@pytest.mark.skipif(
    sys.version_info[:3] in ((3, 12, 0), (3, 12, 1)),
    reason="these versions start no thread at exit (python/cpython#113964)",
)
def test_the_exit_waits_for_background_work_and_shuts_the_app_down() -> None:
    """The shutdown may need a new thread, which ``atexit`` handlers cannot start."""
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = ["main ends", "the background work is done", "shutdown in a new thread"]
    assert (ran.stdout.splitlines(), ran.stderr) == (lines, "")


def test_a_forked_child_starts_its_own_app(to_wsgi: ToWsgi) -> None:
    """P12: gunicorn --preload after a request in the master."""
    app, events = lifespan_app()
    adapter = to_wsgi(app)
    call(adapter, environ_of())
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # the child: report, and skip the exit handlers of the test runner
        try:
            response = call(adapter, environ_of())
            adapter.close()
            os.write(writing, repr([response.body, *events]).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    output = os.read(reading, 1000).decode()
    os.close(reading)
    os.close(writing)

    expected = ["startup", "request", "startup", "request", "shutdown"]
    assert output == repr([b"[('pool', 'open')]", *expected])
    assert events == ["startup", "request"]
    assert call(adapter, environ_of()).status == 200


def test_a_fork_during_a_startup_does_not_inherit_its_lock(to_wsgi: ToWsgi) -> None:
    starting, release = threading.Event(), threading.Event()
    parent = os.getpid()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await respond(send)
            return
        await receive()
        if os.getpid() == parent:
            starting.set()
            await asyncio.to_thread(release.wait, TIMEOUT_S)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    adapter = to_wsgi(slow)
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
    output = os.read(reading, 1000)
    os.close(reading)
    os.close(writing)
    release.set()

    assert output == b"fine"
    assert request.result().body == b"fine"

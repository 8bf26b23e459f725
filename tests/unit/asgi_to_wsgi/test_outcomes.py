"""What becomes of a request whose app breaks the rules, fails, or never ends: one outcome for each.

The table of them is in docs/explanation/asgi-to-wsgi-outcomes.md.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest
import waitress.channel  # type: ignore[import-untyped]  # no stubs
from asgiref.sync import sync_to_async
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

import bridge
from bridge._threads import loop_thread as loop_module
from bridge.asgi_to_wsgi import loop_side, thread_side
from bridge.types import Receive, Scope, Send
from tests.harness.wsgi import TIMEOUT_S, Background, FedInput, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import answer, http_app, piece, sends, start
from tests.unit.asgi_to_wsgi.conftest import Adapted

Log = Callable[[], list[str]]
user: ContextVar[str] = ContextVar("user", default="-")


# -- messages that must not be sent ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([piece(b"x")], r"sent http\.response\.body with more_body when no response has started"),
        ([start(), start()], r"sent http\.response\.start when the response has started"),
        ([start(), piece("text")], r"body is str; the ASGI spec asks for bytes"),
        ([start(), piece(None)], r"body is NoneType; the ASGI spec asks for bytes"),
        ([start("200")], r"status is '200'"),
        ([start(200, ("x-a", "1"))], r"header \('x-a', '1'\)"),
        ([start(200, (b"x-a", b"1\r\nx-b: 2"))], r"CR, LF and NUL"),
        ([start(200, (b"content-length", b"2")), piece(b"abc", more=False)], r"longer than its"),
        (
            [start(200, (b"content-length", b"9")), piece(b"abc", more=False)],
            r"6 bytes are missing",
        ),
        ([{"type": "websocket.accept"}], r"sent websocket\.accept when no response has started"),
        ([{}], r"an ASGI message is a dict"),
        ([start(), {"type": "http.response.zerocopysend", "file": 1}], r"does not offer"),
        ([start(), {"type": "http.response.pathsend"}], r"path is None"),
        ([], r"returned when no response has started"),
        ([start()], r"returned when the response has started"),
    ],
)
def test_an_app_that_breaks_the_protocol_before_its_body_is_an_error_of_the_request(
    adapted: Adapted, bridge_log: Log, messages: list[Any], said: str
) -> None:
    app = adapted(sends(*messages))

    with pytest.raises(bridge.AppProtocolError, match=said):
        call(app, environ_of())

    assert bridge_log() == [], "the server logs what is raised to it; twice would be once too many"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([start(), piece(b"first")], r"returned when the body is incomplete"),
        ([start(), piece(b"first"), start()], r"start when the body is incomplete"),
        ([start(), piece(b"first"), piece("text")], r"body is str"),
        ([start(200, (b"content-length", b"6")), piece(b"first"), piece(more=False)], r"1 bytes"),
        ([start(200, (b"content-length", b"6")), piece(b"first"), piece(b"xx")], r"longer than"),
    ],
)
def test_after_its_first_piece_the_response_breaks_off(
    adapted: Adapted, bridge_log: Log, messages: list[Any], said: str
) -> None:
    with WsgiExchange(adapted(sends(*messages)), environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        with pytest.raises(bridge.AppProtocolError, match=said):
            exchange.chunk()

    assert bridge_log() == []


@pytest.mark.parametrize("message", [piece(b"more"), start(), {"type": "http.response.push"}])
def test_a_message_after_the_end_is_logged_and_the_response_stands(
    adapted: Adapted, bridge_log: Log, message: Any
) -> None:
    app = adapted(sends(start(), piece(b"fine", more=False), message))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    (logged,) = bridge_log()
    assert "failed after its response was complete" in logged
    assert "when the response is complete; allowed was nothing" in logged


def test_an_app_may_catch_its_mistake_and_answer(adapted: Adapted, bridge_log: Log) -> None:
    @http_app
    async def recovers(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(bridge.AppProtocolError):
            await send(start(200, ("not", "bytes")))
        await answer(send, b"sorry", 500)

    assert call(adapted(recovers), environ_of()).body == b"sorry"
    assert bridge_log() == []


# -- exceptions ------------------------------------------------------------------------------------


class Boom(Exception):
    pass


def raises(error: BaseException, *before: Any) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        await asyncio.sleep(0)
        raise error

    return http_app(app)


@pytest.mark.parametrize("before", [[], [start()]])
def test_what_an_app_raises_before_its_body_is_raised_to_the_server(
    adapted: Adapted, bridge_log: Log, before: list[Any]
) -> None:
    error = Boom("broken")
    with pytest.raises(Boom) as caught:
        call(adapted(raises(error, *before)), environ_of())

    assert caught.value is error
    assert bridge_log() == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_becomes_one(adapted: Adapted, error: BaseException) -> None:
    """It must neither end the loop nor pass through a server that expects exceptions."""
    with pytest.raises(bridge.AppProtocolError, match="which is not an Exception") as caught:
        Background(call, adapted(raises(error)), environ_of()).result()

    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OSError("no database"), ConnectionResetError(104, "redis has left")]
)
def test_an_os_error_of_the_app_is_wrapped_for_servers_take_it_for_their_own(
    adapted: Adapted, error: OSError
) -> None:
    with pytest.raises(bridge.BridgeError, match=f"raised {type(error).__name__}") as caught:
        call(adapted(raises(error)), environ_of())

    assert not isinstance(caught.value, OSError)
    assert caught.value.__cause__ is error


def test_what_an_app_raises_in_mid_body_breaks_the_response_off(
    adapted: Adapted, bridge_log: Log
) -> None:
    app = adapted(raises(Boom("broken"), start(), piece(b"first")))

    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        with pytest.raises(Boom, match="broken"):
            exchange.chunk()

    assert bridge_log() == []


def test_what_an_app_raises_after_its_response_is_logged_once(
    adapted: Adapted, bridge_log: Log
) -> None:
    """P17."""
    app = adapted(raises(Boom("broken"), start(), piece(b"fine", more=False)))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    (logged,) = bridge_log()
    assert "failed after its response was complete: Boom('broken')" in logged


def test_a_framework_that_answers_500_and_raises_is_logged_once(
    adapted: Adapted, bridge_log: Log
) -> None:
    """P17: Starlette sends its own 500, and raises so that the server may log."""

    async def endpoint(request: Request) -> None:
        raise Boom("broken")

    app = adapted(Starlette(routes=[Route("/", endpoint)]))

    assert call(app, environ_of()).status == 500
    app.close()
    (logged,) = bridge_log()
    assert "Boom('broken')" in logged


def test_an_app_that_cancels_itself_is_an_error_of_the_request(adapted: Adapted) -> None:
    with pytest.raises(bridge.AppProtocolError, match="cancelled itself") as caught:
        call(adapted(raises(asyncio.CancelledError())), environ_of())

    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_the_next_request_is_served_after_any_of_these(adapted: Adapted) -> None:
    @http_app
    async def moody(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/exit":
            raise SystemExit(3)
        await answer(send)

    app = adapted(moody)
    with pytest.raises(bridge.AppProtocolError, match="SystemExit"):
        call(app, environ_of(path="/exit"))

    assert call(app, environ_of()).body == b"fine"


def test_an_exception_dies_with_its_request(adapted: Adapted) -> None:
    """No traceback keeps a request alive: it can hold a whole upload."""

    @http_app
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        raise Boom("broken")

    app = adapted(breaks)
    gc.collect()
    gc.disable()
    try:
        stream = FedInput()
        seen = weakref.ref(stream)
        environ = environ_of("POST", CONTENT_LENGTH="1", keys={"wsgi.input": stream})
        try:
            app(environ, lambda *head: lambda chunk: None)
        except Boom:
            pass
        del environ, stream
        app.close()
        assert seen() is None
    finally:
        gc.enable()


# -- clients and servers that leave ----------------------------------------------------------------


def test_waitress_is_told_of_a_client_that_left_in_its_own_words(adapted: Adapted) -> None:
    """An app that then has no answer is no error: waitress would log a traceback for any other."""

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    environ = {**environ_of(), "waitress.client_disconnected": lambda: True}

    with pytest.raises(waitress.channel.ClientDisconnected):
        call(adapted(app), environ)


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "no database"), TimeoutError()])
def test_an_error_of_its_own_is_raised_to_the_server_though_the_client_seems_gone(
    adapted: Adapted, error: OSError
) -> None:
    """It may only have closed its sending half, and wait for the 500; and who would log it?"""

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise error

    environ = {**environ_of(), "waitress.client_disconnected": lambda: True}

    with pytest.raises(bridge.BridgeError, match=f"raised {type(error).__name__}"):
        call(adapted(app), environ)


def test_an_app_that_passes_a_disconnect_on_is_no_error_whatever_it_comes_in(
    adapted: Adapted, bridge_log: Log
) -> None:
    """A task group bundles what its tasks raise, and one group may hold another."""
    ended = threading.Event()

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())

        async def ticks() -> None:
            try:
                while True:
                    await send(piece(b"tick"))
                    await asyncio.sleep(0)
            except OSError as error:
                raise Boom("the stream has ended") from error

        try:
            async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
                inner.create_task(ticks())
                outer.create_task(ticks())
        finally:
            ended.set()

    app = adapted(streams)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk().startswith(b"tick")

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert bridge_log() == []


def test_an_error_of_its_own_beside_a_disconnect_is_logged(
    adapted: Adapted, bridge_log: Log
) -> None:
    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        await receive()
        try:
            await send(piece(b"more"))
        except OSError as error:
            raise ExceptionGroup("both", [error, Boom("broken")]) from None

    app = adapted(streams)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    app.close()
    (logged,) = bridge_log()
    assert "failed after its client had disconnected: ExceptionGroup" in logged


def test_a_client_that_leaves_is_a_disconnect_and_then_a_cancellation(
    adapted: Adapted, bridge_log: Log
) -> None:
    """P14: within a second, though the app never sends again."""
    heard: list[str] = []
    ended = threading.Event()

    @http_app
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        try:
            heard.append((await receive())["type"])
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise
        finally:
            ended.set()

    with WsgiExchange(adapted(waits), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert ended.wait(TIMEOUT_S)
    assert heard == ["http.disconnect", "cancelled"]
    assert bridge_log() == []


def test_a_loop_that_is_held_up_leaves_an_app_its_time_to_hear_of_its_client(
    adapted: Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_side, "DISCONNECT_GRACE_S", 0.05)
    disconnect = loop_side.LoopSide.disconnect

    def and_be_held_up(side: loop_side.LoopSide) -> None:
        disconnect(side)
        threading.Event().wait(0.1)  # as by another request, or a busy machine

    monkeypatch.setattr(loop_side.LoopSide, "disconnect", and_be_held_up)
    heard: list[str] = []
    ended = threading.Event()

    @http_app
    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        try:
            heard.append((await receive())["type"])
        finally:
            ended.set()

    with WsgiExchange(adapted(listens), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert ended.wait(TIMEOUT_S)
    assert heard == ["http.disconnect"]


def test_an_app_that_sends_to_a_client_that_left_gets_an_os_error(
    adapted: Adapted, bridge_log: Log
) -> None:
    """ASGI HTTP spec 2.4, "Disconnected Client"."""
    left, ended = threading.Event(), threading.Event()
    raised: list[Exception] = []

    @http_app
    async def goes_on(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        assert await asyncio.to_thread(left.wait, TIMEOUT_S)
        try:
            while True:
                await send(piece(b"more"))
                await asyncio.sleep(0)
        except OSError as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    app = adapted(goes_on)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"
    left.set()

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert isinstance(raised[0], bridge.ClientDisconnected)
    assert bridge_log() == [], "letting it pass is no error of the app"


def test_an_app_that_waits_for_room_is_told_that_the_client_left(adapted: Adapted) -> None:
    ended = threading.Event()

    @http_app
    async def floods(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x" * 1000))
        except OSError:
            ended.set()

    with WsgiExchange(adapted(floods, response_window=5000), environ_of()) as exchange:
        assert exchange.chunk()

    assert ended.wait(TIMEOUT_S)


def test_a_framework_whose_client_left_logs_no_error(adapted: Adapted, bridge_log: Log) -> None:
    ended = threading.Event()

    async def ticks() -> Any:
        try:
            while True:
                yield b"tick"
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async def endpoint(request: Request) -> StreamingResponse:
        return StreamingResponse(ticks(), media_type="text/plain")

    app = adapted(Starlette(routes=[Route("/", endpoint)]))
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk().startswith(b"tick")

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert bridge_log() == []


def test_an_error_while_cleaning_up_after_a_client_is_logged_once(
    adapted: Adapted, bridge_log: Log
) -> None:
    @http_app
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        await receive()
        raise Boom("broken")

    app = adapted(breaks)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    app.close()
    (logged,) = bridge_log()
    assert "failed after its client had disconnected: Boom('broken')" in logged


def test_a_response_that_is_dropped_counts_as_closed(adapted: Adapted, bridge_log: Log) -> None:
    """Many a middleware only iterates, and leaves the rest to the garbage collector."""
    ended = threading.Event()

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        user.set("app")
        await send(start())
        try:
            await send(piece(b"first"))
            await asyncio.Event().wait()
        finally:
            ended.set()

    app = adapted(streams)

    def middleware() -> Any:
        for chunk in app(environ_of(), lambda *head: lambda chunk: None):
            yield chunk.upper()

    def serve() -> None:
        response = middleware()
        assert next(response) == b"FIRST"
        assert user.get() == "app"
        response.close()
        assert user not in copy_context()

    Context().run(serve)
    assert ended.wait(TIMEOUT_S)
    app.close()
    assert bridge_log() == []


def test_an_error_in_a_response_that_is_dropped_is_logged(
    adapted: Adapted, bridge_log: Log
) -> None:
    """Nobody asks for what comes after the first piece, and so nobody is raised it."""
    app = adapted(raises(Boom("broken"), start(), piece(b"first")))

    response = app(environ_of(), lambda *head: lambda chunk: None)
    assert next(iter(response)) == b"first"
    live = app.start()
    while live.requests:
        pass  # it fails by itself
    del response
    app.close()

    (logged,) = bridge_log()
    assert "Boom('broken')" in logged


def test_a_server_that_refuses_the_head_ends_the_app(adapted: Adapted) -> None:
    ended = threading.Event()

    @http_app
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x"))
                await asyncio.sleep(0)
        except OSError:
            ended.set()

    def refuse(*head: Any) -> Any:
        raise ValueError("a header that I do not like")

    with pytest.raises(ValueError, match="do not like"):
        adapted(streams)(environ_of(), refuse)

    assert ended.wait(TIMEOUT_S)


# -- apps that never end ---------------------------------------------------------------------------


def test_a_request_that_takes_longer_than_its_timeout_is_an_error(
    adapted: Adapted, bridge_log: Log
) -> None:
    @http_app
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(bridge.AppProtocolError, match=r"took longer than task_timeout_s=0\.01"):
        call(adapted(hangs, task_timeout_s=0.01), environ_of())

    assert bridge_log() == []


def test_work_after_the_response_that_never_ends_is_cancelled_with_a_warning(
    adapted: Adapted, bridge_log: Log
) -> None:
    ended = threading.Event()

    @http_app
    async def lingers(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    app = adapted(lingers, task_timeout_s=0.01)
    assert call(app, environ_of()).body == b"fine"
    assert ended.wait(TIMEOUT_S)
    app.close()
    (logged,) = bridge_log()
    assert "was cancelled after task_timeout_s=0.01" in logged


def test_an_app_that_blocks_the_loop_is_named_in_the_log(
    adapted: Adapted, bridge_log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_side, "POLL_S", 0.001)
    reported = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "has been blocked" in record.getMessage():
                reported.set()

    @http_app
    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        assert reported.wait(TIMEOUT_S)
        await answer(send)

    watch = Watch()
    logging.getLogger("bridge.loop").addHandler(watch)
    try:
        adapter = adapted(blocks)
        request = Background(call, adapter, environ_of())
        while "reported.wait" not in adapter.start().thread.stack():
            os.sched_yield()  # before that, the loop may just not have had its turn
        monkeypatch.setattr(loop_module, "STALL_S", 0.0)
        assert request.result().body == b"fine"
    finally:
        logging.getLogger("bridge.loop").removeHandler(watch)

    assert any("in blocks" in line and "reported.wait" in line for line in bridge_log())


def test_a_call_on_the_loops_own_thread_is_refused(adapted: Adapted) -> None:
    inner: list[bridge.AsgiToWsgi] = []

    @http_app
    async def calls_itself(scope: Scope, receive: Receive, send: Send) -> None:
        inner[0](scope["wsgi_environ"], lambda *head: lambda chunk: None)

    inner.append(adapted(calls_itself))

    with pytest.raises(bridge.DeadlockError, match="wait for itself"):
        call(inner[0], environ_of())


def test_a_first_call_on_the_loops_own_thread_is_refused(adapted: Adapted) -> None:
    other = adapted(sends())

    @http_app
    async def calls_another(scope: Scope, receive: Receive, send: Send) -> None:
        other(scope["wsgi_environ"], lambda *head: lambda chunk: None)

    with pytest.raises(bridge.DeadlockError, match="wait for itself"):
        call(adapted(calls_another), environ_of())


def test_a_waiting_main_thread_can_be_interrupted(adapted: Adapted) -> None:
    """gunicorn's sync worker is told to abort by a signal whose handler exits."""
    ended = threading.Event()

    @http_app
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def abort(*args: Any) -> None:
        raise SystemExit(1)

    before = signal.signal(signal.SIGUSR1, abort)
    try:
        with pytest.raises(SystemExit):
            call(adapted(hangs), environ_of())
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert ended.wait(TIMEOUT_S), "nobody waits for the response: the app is cancelled"


def exit_process(*args: Any) -> None:
    """The handler of a signal."""
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("handler", "error"),
    [(exit_process, SystemExit), (signal.default_int_handler, KeyboardInterrupt)],
)
def test_so_can_one_that_runs_sync_code_for_the_app(
    adapted: Adapted, handler: Any, error: type[BaseException]
) -> None:
    """What interrupts it is meant for the server. The app hears of it, too, and may clean up."""
    heard: list[BaseException] = []
    ended = threading.Event()

    @http_app
    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await sync_to_async(os.kill)(os.getpid(), signal.SIGUSR1)
            await asyncio.Event().wait()
        except BaseException as raised:
            heard.append(raised)
            raise
        finally:
            ended.set()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(error):
            call(adapted(asks), environ_of())
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert ended.wait(TIMEOUT_S)
    assert isinstance(heard[0], error)


def test_sync_code_that_exits_by_itself_is_the_apps_matter(adapted: Adapted) -> None:
    """As with asgiref."""

    @http_app
    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(SystemExit):
            await sync_to_async(exit_process)()
        await answer(send)

    assert call(adapted(asks), environ_of()).body == b"fine"


def test_requests_that_fail_do_not_disturb_others(adapted: Adapted) -> None:
    inside, go_on = threading.Event(), threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/boom":
            raise Boom("broken")
        inside.set()
        assert await asyncio.to_thread(go_on.wait, TIMEOUT_S)
        await answer(send)

    adapter = adapted(app)
    waiting = Background(call, adapter, environ_of())
    assert inside.wait(TIMEOUT_S)
    with pytest.raises(Boom):
        call(adapter, environ_of(path="/boom"))
    go_on.set()

    assert waiting.result().body == b"fine"

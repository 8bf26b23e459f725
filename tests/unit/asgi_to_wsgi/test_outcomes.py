"""Outcomes of requests whose app violates the protocol, raises, or never ends.

The table of outcomes is in docs/explanation/asgi-to-wsgi-outcomes.md.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest
import waitress.channel  # type: ignore[import-untyped]  # no stubs
from asgiref.sync import async_to_sync, sync_to_async
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

import bridge
from bridge._threads import loop_thread as loop_module
from bridge.asgi_to_wsgi import loop_side, thread_side
from bridge.types import Receive, Scope, Send
from tests.harness.builds import frees_at_once
from tests.harness.wsgi import TIMEOUT_S, Background, FedInput, WsgiExchange, call, environ_of
from tests.unit.asgi_to_wsgi.apps import http_app, piece, respond, sends, start
from tests.unit.asgi_to_wsgi.conftest import ToWsgi

Log = Callable[[], list[str]]
user: ContextVar[str] = ContextVar("user", default="-")


# -- protocol errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([piece(b"x")], r"sent http\.response\.body with more_body when no response has started"),
        ([start(), start()], r"sent http\.response\.start when the response has started"),
        ([start(), piece("text")], r"body is str; the ASGI spec asks for bytes"),
        ([start(), piece(None)], r"body is NoneType; the ASGI spec asks for bytes"),
        ([start("200")], r"status is '200'"),
        ([start(200, ("x-a", "1"))], r"header 'x-a' is str and its value str"),
        ([start(200, (b"x-a", b"1\r\nx-b: 2"))], r"control characters"),
        ([start(200, (b"content-length", b"2")), piece(b"abc", more=False)], r"longer than its"),
        (
            [start(200, (b"content-length", b"9")), piece(b"abc", more=False)],
            r"6 bytes are missing",
        ),
        ([{"type": "websocket.accept"}], r"sent websocket\.accept when no response has started"),
        ([{}], r"an ASGI message is a dict"),
        ([start(), {"type": "http.response.zerocopysend", "file": 1}], r"does not offer"),
        ([start(), {"type": "http.response.pathsend"}], r"path is None"),
        ([], r"returned \(no response has started\)"),
        ([start()], r"returned \(the response has started\)"),
    ],
)
def test_a_protocol_error_before_the_body_is_raised(
    to_wsgi: ToWsgi, bridge_log: Log, messages: list[Any], message: str
) -> None:
    app = to_wsgi(sends(*messages))

    with pytest.raises(bridge.AppProtocolError, match=message):
        call(app, environ_of())

    assert bridge_log() == [], "the server logs the exception; it must not be logged twice"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([start(), piece(b"first")], r"returned \(the body is incomplete\)"),
        ([start(), piece(b"first"), start()], r"start when the body is incomplete"),
        ([start(), piece(b"first"), piece("text")], r"body is str"),
        ([start(200, (b"content-length", b"6")), piece(b"first"), piece(more=False)], r"1 bytes"),
        ([start(200, (b"content-length", b"6")), piece(b"first"), piece(b"xx")], r"longer than"),
    ],
)
def test_a_protocol_error_after_the_first_chunk_aborts_the_response(
    to_wsgi: ToWsgi, bridge_log: Log, messages: list[Any], message: str
) -> None:
    with WsgiExchange(to_wsgi(sends(*messages)), environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        with pytest.raises(bridge.AppProtocolError, match=message):
            exchange.chunk()

    assert bridge_log() == []


@pytest.mark.parametrize("message", [piece(b"more"), start(), {"type": "http.response.push"}])
def test_a_message_after_the_response_is_logged_and_ignored(
    to_wsgi: ToWsgi, bridge_log: Log, message: Any
) -> None:
    app = to_wsgi(sends(start(), piece(b"fine", more=False), message))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    (logged,) = bridge_log()
    assert "failed after its response was complete" in logged
    assert "when the response is complete; allowed was nothing" in logged


def test_an_app_can_catch_a_protocol_error_and_respond(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    @http_app
    async def recovers(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(bridge.AppProtocolError):
            await send(start(200, ("not", "bytes")))
        await respond(send, b"sorry", 500)

    assert call(to_wsgi(recovers), environ_of()).body == b"sorry"
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
def test_an_exception_before_the_body_is_raised(
    to_wsgi: ToWsgi, bridge_log: Log, before: list[Any]
) -> None:
    error = Boom("broken")
    with pytest.raises(Boom) as caught:
        call(to_wsgi(raises(error, *before)), environ_of())

    assert caught.value is error
    assert bridge_log() == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_system_exit_is_wrapped_in_an_exception(to_wsgi: ToWsgi, error: BaseException) -> None:
    """It would stop the loop, or mislead the code that awaits the app."""
    with pytest.raises(bridge.AppProtocolError, match=f"raised {type(error).__name__}") as caught:
        Background(call, to_wsgi(raises(error)), environ_of()).result()

    assert caught.value.__cause__ is error


class Abandon(BaseException):
    """As gevent's Timeout: not an Exception, and no end of the loop."""


NOT_EXCEPTIONS = [Abandon("tide"), BaseExceptionGroup("tasks", [asyncio.CancelledError()])]


@pytest.mark.parametrize("error", NOT_EXCEPTIONS)
def test_another_base_exception_is_raised_as_it_is(to_wsgi: ToWsgi, error: BaseException) -> None:
    with pytest.raises(BaseException) as caught:
        call(to_wsgi(raises(error)), environ_of())

    assert caught.value is error


@pytest.mark.parametrize("error", NOT_EXCEPTIONS)
@pytest.mark.parametrize(
    "key", ["gunicorn.socket", "waitress.client_disconnected", "werkzeug.socket"]
)
def test_it_is_wrapped_for_servers_that_answer_only_exceptions(
    to_wsgi: ToWsgi, error: BaseException, key: str
) -> None:
    """gunicorn's gthread worker exits, and waitress never answers."""
    connection, client = socket.socketpair()
    with connection, client:
        value = connection if key.endswith("socket") else bool
        with pytest.raises(bridge.AppProtocolError, match="not an Exception") as caught:
            call(to_wsgi(raises(error)), {**environ_of(), key: value}, validate=False)

    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OSError("no database"), ConnectionResetError(104, "redis disconnected")]
)
def test_an_os_error_of_the_app_is_wrapped(to_wsgi: ToWsgi, error: OSError) -> None:
    with pytest.raises(bridge.BridgeError, match=f"raised {type(error).__name__}") as caught:
        call(to_wsgi(raises(error)), environ_of())

    assert not isinstance(caught.value, OSError)
    assert caught.value.__cause__ is error


def test_an_exception_after_the_first_chunk_aborts_the_response(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    app = to_wsgi(raises(Boom("broken"), start(), piece(b"first")))

    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"
        with pytest.raises(Boom, match="broken"):
            exchange.chunk()

    assert bridge_log() == []


def test_an_exception_after_the_response_is_logged_once(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    """P17."""
    app = to_wsgi(raises(Boom("broken"), start(), piece(b"fine", more=False)))

    assert call(app, environ_of()).body == b"fine"
    app.close()
    (logged,) = bridge_log()
    assert "failed after its response was complete: Boom('broken')" in logged


def test_an_exception_of_a_framework_that_responds_with_500_is_logged_once(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    """P17: Starlette sends its own 500 and raises, so that the server can log."""

    async def endpoint(request: Request) -> None:
        raise Boom("broken")

    app = to_wsgi(Starlette(routes=[Route("/", endpoint)]))

    assert call(app, environ_of()).status == 500
    app.close()
    (logged,) = bridge_log()
    assert "Boom('broken')" in logged


def test_an_app_that_cancels_itself_is_a_protocol_error(to_wsgi: ToWsgi) -> None:
    with pytest.raises(bridge.AppProtocolError, match="cancelled itself") as caught:
        call(to_wsgi(raises(asyncio.CancelledError())), environ_of())

    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_the_next_request_is_served_after_system_exit(to_wsgi: ToWsgi) -> None:
    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/exit":
            raise SystemExit(3)
        await respond(send)

    adapter = to_wsgi(app)
    with pytest.raises(bridge.AppProtocolError, match="SystemExit"):
        call(adapter, environ_of(path="/exit"))

    assert call(adapter, environ_of()).body == b"fine"


@frees_at_once
def test_an_exception_does_not_keep_its_request_in_memory(to_wsgi: ToWsgi) -> None:
    """A traceback must not keep a request in memory, which may hold a whole upload."""

    @http_app
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        raise Boom("broken")

    app = to_wsgi(breaks)
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


# -- disconnects -----------------------------------------------------------------------------------


def test_a_disconnect_under_waitress_raises_waitresss_error(to_wsgi: ToWsgi) -> None:
    """The app sends no response. waitress logs a traceback for any other exception."""

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    environ = {**environ_of(), "waitress.client_disconnected": lambda: True}

    with pytest.raises(waitress.channel.ClientDisconnected):
        call(to_wsgi(app), environ)


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "no database"), TimeoutError()])
def test_an_os_error_of_the_app_after_a_disconnect_is_raised(
    to_wsgi: ToWsgi, error: OSError
) -> None:
    """The client may wait for the 500 after closing its sending side, and the server logs it."""

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise error

    environ = {**environ_of(), "waitress.client_disconnected": lambda: True}

    with pytest.raises(bridge.BridgeError, match=f"raised {type(error).__name__}"):
        call(to_wsgi(app), environ)


def test_a_propagated_disconnect_is_not_an_error_in_any_wrapping(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    """A task group wraps the exceptions of its tasks, and groups can be nested."""
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

    app = to_wsgi(streams)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk().startswith(b"tick")

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert bridge_log() == []


def test_another_exception_in_a_group_with_a_disconnect_is_logged(
    to_wsgi: ToWsgi, bridge_log: Log
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

    app = to_wsgi(streams)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    app.close()
    (logged,) = bridge_log()
    assert "failed after its client had disconnected: ExceptionGroup" in logged


def test_a_disconnect_is_received_and_then_the_app_is_cancelled(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    """P14: within a second, also if the app does not send again."""
    received: list[str] = []
    ended = threading.Event()

    @http_app
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        try:
            received.append((await receive())["type"])
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            received.append("cancelled")
            raise
        finally:
            ended.set()

    with WsgiExchange(to_wsgi(waits), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert ended.wait(TIMEOUT_S)
    assert received == ["http.disconnect", "cancelled"]
    assert bridge_log() == []


def test_a_blocked_loop_does_not_shorten_the_grace_after_a_disconnect(
    to_wsgi: ToWsgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_side, "DISCONNECT_GRACE_S", 0.05)
    disconnect = loop_side.LoopSide.disconnect

    def disconnect_and_block(side: loop_side.LoopSide) -> None:
        disconnect(side)
        threading.Event().wait(0.1)  # like another request, or a busy machine

    monkeypatch.setattr(loop_side.LoopSide, "disconnect", disconnect_and_block)
    received: list[str] = []
    ended = threading.Event()

    @http_app
    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        try:
            received.append((await receive())["type"])
        finally:
            ended.set()

    with WsgiExchange(to_wsgi(listens), environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    assert ended.wait(TIMEOUT_S)
    assert received == ["http.disconnect"]


def test_send_raises_an_os_error_after_a_disconnect(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    """ASGI HTTP spec 2.4, "Disconnected Client"."""
    disconnected, ended = threading.Event(), threading.Event()
    raised: list[Exception] = []

    @http_app
    async def keeps_sending(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        assert await asyncio.to_thread(disconnected.wait, TIMEOUT_S)
        try:
            while True:
                await send(piece(b"more"))
                await asyncio.sleep(0)
        except OSError as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    app = to_wsgi(keeps_sending)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"
    disconnected.set()

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert isinstance(raised[0], bridge.ClientDisconnected)
    assert bridge_log() == [], "an app may let the exception propagate"


def test_a_disconnect_wakes_a_send_that_waits_for_the_window(to_wsgi: ToWsgi) -> None:
    ended = threading.Event()

    @http_app
    async def floods(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(piece(b"x" * 1000))
        except OSError:
            ended.set()

    with WsgiExchange(to_wsgi(floods, response_window=5000), environ_of()) as exchange:
        assert exchange.chunk()

    assert ended.wait(TIMEOUT_S)


def test_a_disconnect_under_starlette_logs_no_error(to_wsgi: ToWsgi, bridge_log: Log) -> None:
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

    app = to_wsgi(Starlette(routes=[Route("/", endpoint)]))
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk().startswith(b"tick")

    assert ended.wait(TIMEOUT_S)
    app.close()
    assert bridge_log() == []


def test_an_exception_after_a_disconnect_is_logged_once(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    @http_app
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"first"))
        await receive()
        await receive()
        raise Boom("broken")

    app = to_wsgi(breaks)
    with WsgiExchange(app, environ_of()) as exchange:
        assert exchange.chunk() == b"first"

    app.close()
    (logged,) = bridge_log()
    assert "failed after its client had disconnected: Boom('broken')" in logged


def test_a_garbage_collected_response_is_closed(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    """Some middleware iterates and never calls ``close()``."""
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

    app = to_wsgi(streams)

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


def test_an_exception_in_a_garbage_collected_response_is_logged(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    """The server does not read on, so the exception cannot be raised."""
    app = to_wsgi(raises(Boom("broken"), start(), piece(b"first")))

    response = app(environ_of(), lambda *head: lambda chunk: None)
    assert next(iter(response)) == b"first"
    running = app.start()
    while running.requests:
        pass  # until the app has raised
    del response
    app.close()

    (logged,) = bridge_log()
    assert "Boom('broken')" in logged


def test_an_exception_of_start_response_ends_the_app(to_wsgi: ToWsgi) -> None:
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
        raise ValueError("invalid header")

    with pytest.raises(ValueError, match="invalid header"):
        to_wsgi(streams)(environ_of(), refuse)

    assert ended.wait(TIMEOUT_S)


# -- timeouts, deadlocks and signals ---------------------------------------------------------------


def test_a_request_longer_than_task_timeout_s_is_an_error(to_wsgi: ToWsgi, bridge_log: Log) -> None:
    @http_app
    async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(bridge.AppProtocolError, match=r"took longer than task_timeout_s=0\.01"):
        call(to_wsgi(hangs, task_timeout_s=0.01), environ_of())

    assert bridge_log() == []


def test_background_work_longer_than_task_timeout_s_is_cancelled_with_a_warning(
    to_wsgi: ToWsgi, bridge_log: Log
) -> None:
    ended = threading.Event()

    @http_app
    async def lingers(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    app = to_wsgi(lingers, task_timeout_s=0.01)
    assert call(app, environ_of()).body == b"fine"
    assert ended.wait(TIMEOUT_S)
    app.close()
    (logged,) = bridge_log()
    assert "was cancelled after task_timeout_s=0.01" in logged


def test_an_app_that_blocks_the_loop_is_logged_with_its_line(
    to_wsgi: ToWsgi, bridge_log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_side, "POLL_S", 0.001)
    reported = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "has been blocked" in record.getMessage():
                reported.set()

    @http_app
    async def blocks(scope: Scope, receive: Receive, send: Send) -> None:
        assert reported.wait(TIMEOUT_S)
        await respond(send)

    handler = Handler()
    logging.getLogger("bridge.loop").addHandler(handler)
    try:
        adapter = to_wsgi(blocks)
        request = Background(call, adapter, environ_of())
        while "reported.wait" not in adapter.start().thread.stack():
            os.sched_yield()  # until the loop runs the app
        monkeypatch.setattr(loop_module, "STALL_S", 0.0)
        assert request.result().body == b"fine"
    finally:
        logging.getLogger("bridge.loop").removeHandler(handler)

    assert any("in blocks" in line and "reported.wait" in line for line in bridge_log())


def test_a_call_on_the_loop_thread_is_a_deadlock_error(to_wsgi: ToWsgi) -> None:
    inner: list[bridge.AsgiToWsgi] = []

    @http_app
    async def calls_itself(scope: Scope, receive: Receive, send: Send) -> None:
        inner[0](scope["wsgi_environ"], lambda *head: lambda chunk: None)

    inner.append(to_wsgi(calls_itself))

    with pytest.raises(bridge.DeadlockError, match="wait for itself"):
        call(inner[0], environ_of())


def test_a_first_call_on_the_loop_thread_is_a_deadlock_error(to_wsgi: ToWsgi) -> None:
    other = to_wsgi(sends())

    @http_app
    async def calls_another(scope: Scope, receive: Receive, send: Send) -> None:
        other(scope["wsgi_environ"], lambda *head: lambda chunk: None)

    with pytest.raises(bridge.DeadlockError, match="wait for itself"):
        call(to_wsgi(calls_another), environ_of())


@contextmanager
def handling_usr1(handler: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_interrupts_a_waiting_main_thread(to_wsgi: ToWsgi) -> None:
    """gunicorn aborts its sync worker by a signal whose handler exits."""
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

    with handling_usr1(abort), pytest.raises(SystemExit):
        call(to_wsgi(hangs), environ_of())

    assert ended.wait(TIMEOUT_S), "the app must be cancelled: no thread waits for it"


def exit_process(*args: Any) -> None:
    """A signal handler that exits."""
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("handler", "error"),
    [(exit_process, SystemExit), (signal.default_int_handler, KeyboardInterrupt)],
)
@pytest.mark.parametrize("helper", [sync_to_async, bridge.sync_to_async])
def test_a_signal_interrupts_a_main_thread_that_runs_sync_code(
    to_wsgi: ToWsgi, helper: Any, handler: Any, error: type[BaseException]
) -> None:
    """The exception is meant for the server. It is raised in the app as well, for cleanup."""
    received: list[BaseException] = []
    ended = threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await helper(os.kill)(os.getpid(), signal.SIGUSR1)
            await asyncio.Event().wait()
        except BaseException as raised:
            received.append(raised)
            raise
        finally:
            ended.set()

    with handling_usr1(handler), pytest.raises(error):
        call(to_wsgi(app), environ_of())

    assert ended.wait(TIMEOUT_S)
    assert isinstance(received[0], error)


@pytest.mark.parametrize("to_sync", [async_to_sync, bridge.async_to_sync])
@pytest.mark.parametrize("helper", [sync_to_async, bridge.sync_to_async])
def test_a_signal_interrupts_sync_code_that_waits_for_async_code(
    to_wsgi: ToWsgi, helper: Any, to_sync: Any
) -> None:
    """The server gets the exception, although the app goes on to respond."""

    async def waits() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.05)  # asgiref's helper raises it only once the coroutine has ended

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(KeyboardInterrupt):
            await helper(lambda: to_sync(waits)())()
        await respond(send)

    with handling_usr1(signal.default_int_handler), pytest.raises(KeyboardInterrupt):
        call(to_wsgi(app), environ_of())


def test_a_signal_interrupts_a_sync_context_manager_of_the_app(to_wsgi: ToWsgi) -> None:
    @contextmanager
    def manager() -> Iterator[None]:
        os.kill(os.getpid(), signal.SIGUSR1)
        yield

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with bridge.enter_in_threads(manager()):
            pass

    with handling_usr1(exit_process), pytest.raises(SystemExit):
        call(to_wsgi(app), environ_of())


@pytest.mark.parametrize("helper", [sync_to_async, bridge.sync_to_async])
def test_system_exit_in_sync_code_is_raised_in_the_app(to_wsgi: ToWsgi, helper: Any) -> None:
    """The server does not get it: no signal handler has raised it."""

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(SystemExit):
            await helper(exit_process)()
        await respond(send)

    assert call(to_wsgi(app), environ_of()).body == b"fine"


def test_failed_requests_do_not_affect_others(to_wsgi: ToWsgi) -> None:
    started, release = threading.Event(), threading.Event()

    @http_app
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/boom":
            raise Boom("broken")
        started.set()
        assert await asyncio.to_thread(release.wait, TIMEOUT_S)
        await respond(send)

    adapter = to_wsgi(app)
    waiting = Background(call, adapter, environ_of())
    assert started.wait(TIMEOUT_S)
    with pytest.raises(Boom):
        call(adapter, environ_of(path="/boom"))
    release.set()

    assert waiting.result().body == b"fine"

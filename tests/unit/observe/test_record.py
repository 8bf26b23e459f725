"""Each request starts once and ends once, whatever becomes of it, and is counted as it was."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from waitress.channel import (  # type: ignore[import-untyped]  # no stubs
    ClientDisconnected as WaitressClientDisconnected,
)

import bridge
from bridge.types import Environ, Message, Receive, Scope, Send, StartResponse
from tests.harness.asgi import Exchange, call_async, http_scope
from tests.harness.wsgi import WsgiExchange, environ_of
from tests.unit.observe.recording import TYPE, Recorder

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def _cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await asyncio.Event().wait()


def test_a_cancelled_request_ends_as_disconnected() -> None:
    recorder = Recorder()

    async def main() -> None:
        async with Exchange(bridge.observe(_cancelled, observers=[recorder]), http_scope()) as it:
            await it.wait_for_messages(1)

    asyncio.run(main())

    assert recorder.names == ["started", "ended"]
    assert recorder.last.disconnected
    assert (recorder.last.status, recorder.last.error) == (200, "CancelledError")


async def _after_disconnect(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await receive()


def test_a_disconnect_before_the_response_has_no_status() -> None:
    recorder = Recorder()

    async def main() -> None:
        app = bridge.observe(_after_disconnect, observers=[recorder])
        async with Exchange(app, http_scope()) as exchange:
            exchange.feed()
            exchange.disconnect()
            await exchange.task

    asyncio.run(main())

    assert recorder.names == ["started", "ended"]
    assert recorder.last.disconnected
    assert recorder.last.status is None


async def _listens_on(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(START)
    await send({"type": "http.response.body", "body": b"all"})
    await receive()


def test_the_disconnect_after_a_complete_response_is_none() -> None:
    recorder = Recorder()

    async def main() -> None:
        app = bridge.observe(_listens_on, observers=[recorder])
        async with Exchange(app, http_scope()) as exchange:
            exchange.feed()
            await exchange.response()
            exchange.disconnect()
            await exchange.task

    asyncio.run(main())

    assert recorder.names == ["started", "ended"]
    assert not recorder.last.disconnected


def test_trailers_and_zero_copy_belong_to_the_response(tmp_path: Any) -> None:
    recorder = Recorder()
    (tmp_path / "file").write_bytes(b"0123456789")
    sent: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
        await send({**START, "trailers": True})
        with open(tmp_path / "file", "rb") as file:  # noqa: ASYNC230 - a small one
            await send({"type": "http.response.zerocopysend", "file": file, "offset": 4})
        await send({"type": "http.response.trailers", "headers": []})
        await receive()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(bridge.observe(app, observers=[recorder])(http_scope(), receive, send))

    assert sent == [
        "http.response.early_hint",
        "http.response.start",
        "http.response.zerocopysend",
        "http.response.trailers",
    ]
    assert recorder.names == ["started", "ended"]
    assert (recorder.last.sent_bytes, recorder.last.disconnected) == (6, False)


def test_a_lifespan_is_not_recorded() -> None:
    recorder = Recorder()
    scopes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope["type"])

    async def nothing(*args: Any) -> Any:
        return {}

    observed = bridge.observe(app, observers=[recorder])
    asyncio.run(observed({"type": "lifespan"}, nothing, nothing))

    assert (scopes, recorder.events) == (["lifespan"], [])


def test_a_request_that_is_refused_has_waited() -> None:
    """The pool has one thread, which is busy: the next request waits, and its client leaves."""
    recorder, busy, free = Recorder(), threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        busy.set()
        free.wait(15)
        start_response("200 OK", [TYPE])
        return [b"ok"]

    async def main() -> None:
        adapter = bridge.WsgiToAsgi(app, threads=1, backlog=1)
        observed = bridge.observe(adapter, observers=[recorder])
        async with Exchange(observed, http_scope(path="/first")) as first:
            first.feed()
            await asyncio.to_thread(busy.wait, 15)
            async with Exchange(observed, http_scope(path="/second")) as second:
                second.feed()
                await asyncio.sleep(0)
                third = await call_async(observed, http_scope(path="/third"))
                assert third.status == 503
                free.set()
                assert (await first.response()).body == b"ok"
                assert (await second.response()).body == b"ok"

    asyncio.run(main())

    ended = {record.path: record for name, record in recorder.events if name == "ended"}
    assert sorted(ended) == ["/first", "/second", "/third"]
    assert ended["/third"].status == 503
    assert ended["/third"].thread_s is None
    waited_s, thread_s = ended["/second"].queue_s, ended["/first"].thread_s
    assert waited_s is not None
    assert thread_s is not None
    assert waited_s > 0
    assert ended["/first"].sent_bytes == 2


# -- WSGI ------------------------------------------------------------------------------------------


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TYPE])
    yield b"one"
    yield b"two"


def test_a_response_that_is_closed_early_is_a_disconnect() -> None:
    recorder = Recorder()

    with WsgiExchange(bridge.observe(stream, observers=[recorder]), environ_of()) as exchange:
        assert exchange.chunk() == b"one"
        assert recorder.names == ["started"]

    assert recorder.names == ["started", "ended"]
    assert (recorder.last.sent_bytes, recorder.last.disconnected) == (3, True)


@pytest.mark.parametrize("kind", [bridge.ClientDisconnected, WaitressClientDisconnected])
def test_an_error_that_reports_a_disconnect_is_one(kind: type[Exception]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TYPE])
        yield b"one"
        raise kind("the client disconnected")

    recorder = Recorder()
    response: Any = bridge.observe(app, observers=[recorder])(
        environ_of(), lambda *args: lambda data: None
    )
    with pytest.raises(kind):
        list(response)
    response.close()

    assert recorder.names == ["started", "ended"]
    assert (recorder.last.disconnected, recorder.last.error) == (True, None)


def test_a_server_that_stops_at_the_content_length_has_its_client() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE, ("Content-Length", "3")])
        return iter([b"one"])

    recorder = Recorder()
    with WsgiExchange(bridge.observe(app, observers=[recorder]), environ_of()) as exchange:
        assert exchange.chunk() == b"one"

    assert not recorder.last.disconnected


def test_a_second_close_changes_nothing() -> None:
    recorder = Recorder()
    observed = bridge.observe(stream, observers=[recorder])
    response: Any = observed(environ_of(), lambda *args: lambda data: None)

    assert list(response) == [b"one", b"two"]
    response.close()
    response.close()

    assert recorder.names == ["started", "ended"]


def test_close_of_the_app_is_called_and_may_fail() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            raise LookupError("close")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE])
        return Body()

    recorder = Recorder()
    response: Any = bridge.observe(app, observers=[recorder])(
        environ_of(), lambda *args: lambda data: None
    )
    assert list(response) == [b"x"]
    with pytest.raises(LookupError):
        response.close()

    assert recorder.names == ["started", "ended"]
    assert (recorder.last.status, recorder.last.error) == (200, "LookupError")


def test_a_list_keeps_its_length() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE])
        return [b"x"]

    response: Any = bridge.observe(app)(environ_of(), lambda *args: lambda data: None)

    assert len(response) == 1  # servers take a Content-Length from it
    response.close()


def test_a_file_wrapper_stays_that_of_the_server(tmp_path: Any) -> None:
    class Wrapper:
        def __init__(self, filelike: Any, blksize: int = 0) -> None:
            self.filelike = filelike
            self.close = filelike.close

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.filelike)

    (tmp_path / "file").write_bytes(b"0123456789")
    file = open(tmp_path / "file", "rb")  # noqa: SIM115 - closed by the response

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE])
        response: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return response

    recorder = Recorder()
    environ = environ_of(keys={"wsgi.file_wrapper": Wrapper})
    response: Any = bridge.observe(app, observers=[recorder])(
        environ, lambda *args: lambda data: None
    )
    assert type(response) is Wrapper
    assert recorder.names == ["started"]
    response.close()

    assert file.closed
    assert recorder.names == ["started", "ended"]
    assert (recorder.last.sent_bytes, recorder.last.disconnected) == (10, False)


def test_an_error_page_of_exc_info_replaces_the_status() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TYPE])
        try:
            raise LookupError("late")
        except LookupError:
            start_response("500 Internal Server Error", [TYPE], sys.exc_info())
        return [b"sorry"]

    recorder = Recorder()
    with WsgiExchange(bridge.observe(app, observers=[recorder]), environ_of()) as exchange:
        exchange.read()

    assert recorder.last.status == 500


def test_a_request_in_two_parts_ends_with_the_second() -> None:
    recorder = Recorder()
    record = bridge.RequestRecord("websocket", method="GET", path="/", client=None)
    record.start([recorder])
    record.split()
    threads = [threading.Thread(target=record.end) for _ in range(2)]

    record_ended = len(recorder.events)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert record_ended == 1
    assert recorder.names == ["started", "ended"]

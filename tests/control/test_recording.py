"""Recording requests: the app and the server notice nothing of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import ref
from wsgiref.util import FileWrapper

import pytest

import bridge
from bridge._observe.observed import app_of
from bridge._observe.record import RequestRecord
from bridge.control.recording import SAMPLES, Durations, Requests, requests, watch
from bridge.dual import Universal
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from tests.harness.asgi import http_scope
from tests.harness.wsgi import environ_of


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    requests._reset()
    yield
    requests._reset()


def call(app: Any, environ: Environ) -> Any:
    return watch(app)(environ, lambda status, headers, exc_info=None: None)


def app_with(body: Callable[[Environ], Any]) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found: Iterable[bytes] = body(environ)
        return found

    return app


def test_a_whole_body_keeps_its_blocks_and_their_number() -> None:
    """Servers take a Content-Length from one with a single block."""
    body = call(app_with(lambda environ: [b"a", b"b"]), environ_of())

    assert (len(body), list(body)) == (2, [b"a", b"b"])
    body.close()
    assert (requests.open(), requests.completed) == ([], 1)


def test_a_file_is_passed_on_as_it_is() -> None:
    """The server recognizes it by its class, and sends it by itself."""
    body = FileWrapper(open(__file__, "rb"))  # noqa: SIM115  # closed below

    assert (
        call(app_with(lambda environ: body), environ_of(keys={"wsgi.file_wrapper": FileWrapper}))
        is body
    )
    body.close()
    assert requests.completed == 1


def test_a_stream_runs_until_it_is_closed() -> None:
    closed = []

    def stream() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    body = call(app_with(lambda environ: stream()), environ_of())
    iterator = iter(body)
    assert next(iterator) == b"a"
    assert len(requests.open()) == 1
    assert requests.completed == 0

    body.close()

    assert closed == [True]
    assert (requests.open(), requests.completed) == ([], 1)


def test_an_error_of_the_app_ends_the_request() -> None:
    def fail(environ: Environ) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(app_with(fail), environ_of())

    assert (requests.open(), requests.completed) == ([], 1)


class WeakEnviron(dict[str, Any]):
    """An environ that can be referred to weakly."""


def test_a_request_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    environ = WeakEnviron(environ_of())
    reference = ref(environ)
    gc.disable()
    try:
        call(app_with(lambda environ: [b""]), environ).close()
        del environ
        assert reference() is None
    finally:
        gc.enable()


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    assert [each.record.path for each in requests.open()] == ["/a"]
    if scope.get("fails"):
        raise ZeroDivisionError


async def no_receive() -> Any:
    raise AssertionError


async def no_send(message: Any) -> None:
    raise AssertionError


async def test_a_request_of_an_asgi_app_is_open_while_it_runs() -> None:
    await watch(asgi)(http_scope(path="/a"), no_receive, no_send)
    with pytest.raises(ZeroDivisionError):
        await watch(asgi)(http_scope(path="/a", fails=1), no_receive, no_send)

    assert (requests.open(), requests.completed) == ([], 2)


async def test_a_websocket_is_not_counted_among_the_requests() -> None:
    await watch(asgi)({"type": "websocket", "path": "/a", "headers": []}, no_receive, no_send)

    assert (requests.open(), requests.completed) == ([], 0)


def test_the_interface_of_the_app_stays() -> None:
    wsgi = app_with(lambda environ: [])
    router = bridge.Router({"/": wsgi, "/api": asgi})

    assert bridge.interface_of(watch(wsgi)) == "wsgi"
    assert bridge.interface_of(watch(asgi)) == "asgi"
    assert isinstance(watch(router), Universal)
    assert app_of(watch(router)) is router  # what starts the apps finds them


def test_percentiles_are_durations_that_have_occurred() -> None:
    took = Durations([0.3, 0.1, 0.2])

    assert [took.percentile(share) for share in (0, 0.5, 0.99)] == [0.1, 0.2, 0.3]
    assert Durations([]).percentile(0.5) is None


def test_durations_are_bounded() -> None:
    many = Requests()
    for _ in range(SAMPLES + 10):
        record = RequestRecord("http", method="GET", path="/", client=None)
        many.started(record)
        many.ended(record)
        many.ended(record)  # no effect

    assert many.completed == SAMPLES + 10
    assert many.durations().count == SAMPLES

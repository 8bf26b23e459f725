"""Apps that break PEP 3333: each breach is an ``AppProtocolError`` that the server gets to see.

Before the first byte nothing at all is sent, so the server can answer 500; after it, the response
is never completed. The bridge logs nothing itself, and the one thread serves the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from bridge.errors import AppProtocolError
from bridge.types import Environ, StartResponse
from tests.apps import wsgi_faulty
from tests.apps.wsgi_faulty import FAULTS
from tests.apps.wsgi_routes import PLAIN, Boom
from tests.conformance.conftest import Bridged
from tests.harness.asgi import Exchange, call, http_scope
from tests.harness.control import Control

Logged = Callable[[], list[str]]
AT_ONCE = [name for name, fault in FAULTS.items() if not fault.aborts]
LATER = [name for name, fault in FAULTS.items() if fault.aborts]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"].startswith("/faulty/"):
        return wsgi_faulty.app(environ, start_response)
    start_response("200 OK", PLAIN)
    return [b"fine"]


async def breach(bridged: Bridged, name: str, key: str) -> tuple[Exchange, AppProtocolError]:
    """Run a faulty app, then a good one on the same thread."""
    adapter = bridged(app, threads=1)
    scope = http_scope(path=f"/faulty/{name}", query=f"key={key}".encode())
    async with Exchange(adapter, scope) as exchange:
        exchange.feed()
        with pytest.raises(AppProtocolError) as raised:
            await exchange.wait()
    async with Exchange(adapter, http_scope()) as healthy:
        healthy.feed()
        assert (await healthy.response()).body == b"fine"
    return exchange, raised.value


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_breach_before_the_first_byte_sends_nothing(
    bridged: Bridged, logged: Logged, name: str
) -> None:
    exchange, error = asyncio.run(breach(bridged, name, "unused"))

    assert exchange.sent == []
    assert str(error), "the error says nothing"
    assert logged() == []


@pytest.mark.parametrize("name", LATER)
def test_a_breach_after_the_first_byte_never_completes(
    bridged: Bridged, logged: Logged, control: Control, key: str, name: str
) -> None:
    control.open(key, "fail")

    exchange, error = asyncio.run(breach(bridged, name, key))

    assert exchange.partial_response().status == 200
    assert all(message.get("more_body", True) for message in exchange.sent[1:])
    assert str(error), "the error says nothing"
    assert logged() == []


def test_a_surplus_never_reaches_the_client(bridged: Bridged, control: Control, key: str) -> None:
    control.open(key, "fail")

    exchange, _ = asyncio.run(breach(bridged, "too-long-later", key))

    assert len(exchange.partial_response().body) <= 8
    assert b"a part and more".startswith(exchange.partial_response().body)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("returns-none", ["NoneType", "iterable"]),
        ("str-chunk", ["str", "bytes"]),
        ("never-starts", ["start_response"]),
        ("starts-twice", ["start_response", "exc_info"]),
        ("status-without-number", ["'OK'", "200 OK"]),
        ("field-value-with-lf", ["x-bad"]),
        ("field-transfer-encoding", ["transfer-encoding"]),
        ("too-long-at-once", ["Content-Length", "16", "4"]),
        ("field-content-length-text", ["four"]),
    ],
)
def test_the_error_names_what_came_and_what_was_allowed(
    bridged: Bridged, name: str, words: list[str]
) -> None:
    _, error = asyncio.run(breach(bridged, name, "unused"))

    missing = [word for word in words if word.lower() not in str(error).lower()]
    assert not missing, f"{missing} not in {error}"


def test_an_error_in_close_after_a_whole_response_is_logged_once(
    bridged: Bridged, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is short, so the response ends cleanly, and the server has nothing left to answer:
    the bridge logs the error itself.
    """
    error = Boom("in close")

    class Body(list[bytes]):
        def close(self) -> None:
            raise error

    def closing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Body([b"whole"])

    adapter = bridged(closing, threads=1)
    for count in (1, 2):
        assert call(adapter, http_scope()).body == b"whole"
        seen = [record.exc_info for record in caplog.records if record.exc_info]
        assert [info[1] for info in seen] == [error] * count


def test_an_error_in_close_does_not_hide_the_first_one(bridged: Bridged) -> None:
    first = Boom("first")

    class Body:
        def __iter__(self) -> Body:
            return self

        def __next__(self) -> bytes:
            raise first

        def close(self) -> None:
            raise Boom("second, in close")

    def failing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Body()

    with pytest.raises(Boom) as raised:
        call(bridged(failing), http_scope())
    assert raised.value is first


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_app_that_exits_does_not_end_its_thread(
    bridged: Bridged, kind: type[BaseException]
) -> None:
    def exiting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise kind()
        start_response("200 OK", PLAIN)
        return [b"fine"]

    adapter = bridged(exiting, threads=1)
    with pytest.raises(BaseException) as raised:
        call(adapter, http_scope(path="/exit"))
    assert raised.value is not None
    assert call(adapter, http_scope()).body == b"fine"

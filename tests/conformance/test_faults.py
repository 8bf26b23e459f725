"""Apps that violate PEP 3333: the server gets an ``AppProtocolError``.

Before the first byte nothing is sent, so the server can respond with 500. After it, the response is
never completed. The adapter logs nothing, and the thread serves the next request.
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
from tests.conformance.conftest import ToAsgi
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


async def run_faulty_app(to_asgi: ToAsgi, name: str, key: str) -> tuple[Exchange, AppProtocolError]:
    """Run a faulty app, then a correct one on the same thread."""
    adapter = to_asgi(app, threads=1)
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
def test_a_violation_before_the_first_byte_sends_nothing(
    to_asgi: ToAsgi, logged: Logged, name: str
) -> None:
    exchange, error = asyncio.run(run_faulty_app(to_asgi, name, "unused"))

    assert exchange.sent == []
    assert str(error), "the error has no message"
    assert logged() == []


@pytest.mark.parametrize("name", LATER)
def test_a_violation_after_the_first_byte_never_completes_the_response(
    to_asgi: ToAsgi, logged: Logged, control: Control, key: str, name: str
) -> None:
    control.open(key, "fail")

    exchange, error = asyncio.run(run_faulty_app(to_asgi, name, key))

    assert exchange.partial_response().status == 200
    assert all(message.get("more_body", True) for message in exchange.sent[1:])
    assert str(error), "the error has no message"
    assert logged() == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("returns-none", ["NoneType", "iterable"]),
        ("str-chunk", ["str", "bytes"]),
        ("never-starts", ["start_response"]),
        ("starts-twice", ["start_response", "exc_info"]),
        ("status-without-number", ["'OK'", "200 OK"]),
        ("field-value-with-lf", ["x-bad"]),
        ("field-transfer-encoding", ["transfer-encoding"]),
        ("field-value-with-control", ["x-bad", r"a\x01b", "control characters"]),
        ("replaced-with-control", ["x-bad", "control characters"]),
        ("status-with-control", [r"200 \x01OK", "control characters"]),
        ("field-content-length-text", ["four"]),
    ],
)
def test_the_error_names_the_value_and_what_is_allowed(
    to_asgi: ToAsgi, name: str, expected: list[str]
) -> None:
    _, error = asyncio.run(run_faulty_app(to_asgi, name, "unused"))

    missing = [text for text in expected if text.lower() not in str(error).lower()]
    assert not missing, f"{missing} not in {error}"


def test_an_exception_in_close_after_a_complete_response_is_logged_once(
    to_asgi: ToAsgi, caplog: pytest.LogCaptureFixture
) -> None:
    """The response is complete, so the server cannot respond to the error: the adapter logs it."""
    error = Boom("in close")

    class Body(list[bytes]):
        def close(self) -> None:
            raise error

    def closing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return Body([b"whole"])

    adapter = to_asgi(closing, threads=1)
    for count in (1, 2):
        assert call(adapter, http_scope()).body == b"whole"
        seen = [record.exc_info for record in caplog.records if record.exc_info]
        assert [info[1] for info in seen] == [error] * count


def test_an_exception_in_close_does_not_hide_the_first_one(to_asgi: ToAsgi) -> None:
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
        call(to_asgi(failing), http_scope())
    assert raised.value is first


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_system_exit_in_an_app_does_not_end_its_thread(
    to_asgi: ToAsgi, kind: type[BaseException]
) -> None:
    def exiting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise kind()
        start_response("200 OK", PLAIN)
        return [b"fine"]

    adapter = to_asgi(exiting, threads=1)
    with pytest.raises(BaseException) as raised:
        call(adapter, http_scope(path="/exit"))
    assert raised.value is not None
    assert call(adapter, http_scope()).body == b"fine"

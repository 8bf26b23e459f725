"""What reaches an app prints the headers of its request once: where they belong.

Error reports print objects with ``repr`` or ``pprint``, or walk them as Sentry's SDK does: every
``Mapping``, list, tuple and set.
"""

from __future__ import annotations

import asyncio
import os
import pprint
from collections.abc import Callable, Iterable, Iterator, Mapping
from traceback import walk_tb
from typing import Any

import pytest

import bridge
from bridge._http.response_heads import head_for_asgi
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import call, http_scope
from tests.harness.wsgi import call as call_wsgi
from tests.harness.wsgi import environ_of

SECRET = "secret-token"
PACKAGE = os.path.dirname(bridge.__file__)
HEADERS = [(b"authorization", b"Bearer secret-token")]


def walked(value: Any) -> Iterator[str]:
    """The text of everything that a recursive serializer finds in ``value``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walked(key)
            yield from walked(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from walked(item)
    else:
        yield str(value)


REPORTS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "pprint": pprint.pformat,
    "walk": lambda value: "\n".join(walked(value)),
}


def wsgi_app(found: dict[str, Any]) -> Callable[[Environ, StartResponse], Iterable[bytes]]:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        wrapper = environ["wsgi.file_wrapper"](environ["wsgi.input"])
        found.update(
            {"environ": environ, "start_response": start_response, "file wrapper": wrapper}
        )
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    return app


def asgi_app(found: dict[str, Any]) -> Callable[[Scope, Receive, Send], Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "this app has no lifespan"
        found.update({"scope": scope, "receive": receive, "send": send})
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    return app


def call_asgi(app: AsgiApp) -> None:
    """Send the request to an ASGI app through ``to_wsgi``."""
    adapter = bridge.AsgiToWsgi(app, lifespan="off")
    try:
        call_wsgi(adapter, environ_of(headers=(("authorization", "Bearer secret-token"),)))
    finally:
        adapter.close()


def through_to_asgi(found: dict[str, Any], to_asgi: ToAsgi) -> None:
    call(to_asgi(wsgi_app(found)), http_scope(headers=HEADERS))


def through_to_wsgi(found: dict[str, Any], _: ToAsgi) -> None:
    call_asgi(asgi_app(found))


def through_both(found: dict[str, Any], to_asgi: ToAsgi) -> None:
    inner = bridge.AsgiToWsgi(asgi_app(found), lifespan="off")
    call(to_asgi(inner), http_scope(headers=HEADERS))
    inner.close()


def through_a_router(found: dict[str, Any], to_asgi: ToAsgi) -> None:
    asgi = asgi_app(found)
    router = bridge.Router({"/asgi": asgi, "/wsgi": to_asgi(wsgi_app(found))})
    for path in ("/asgi", "/wsgi"):
        call(router, http_scope(path=path, headers=HEADERS))


def through_a_websocket(found: dict[str, Any], to_asgi: ToAsgi) -> None:
    scope = {**http_scope(headers=HEADERS), "type": "websocket", "scheme": "ws"}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        """Nothing reads it: the app refuses the WebSocket."""

    app = to_asgi(wsgi_app(found), websocket_threads=1)
    asyncio.run(app(scope, receive, send))
    assert found["environ"]["asgi.scope"] == scope


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    "send_request",
    [through_to_asgi, through_to_wsgi, through_both, through_a_router, through_a_websocket],
)
def test_a_header_is_printed_only_where_it_belongs(
    to_asgi: ToAsgi, send_request: Callable[[dict[str, Any], ToAsgi], None], report: str
) -> None:
    found: dict[str, Any] = {}
    send_request(found, to_asgi)

    assert {"environ", "scope"} & {*found}
    counts = {name: REPORTS[report](value).count(SECRET) for name, value in found.items()}
    assert counts == {name: int(name in ("environ", "scope")) for name in found}


class Failure(Exception):
    """The app's."""


async def fails_in_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    raise Failure


def fails_in_wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise Failure


def fail_in_wsgi(to_asgi: ToAsgi) -> None:
    call(to_asgi(fails_in_wsgi), http_scope(headers=HEADERS))


def fail_in_asgi(_: ToAsgi) -> None:
    call_asgi(fails_in_asgi)


@pytest.mark.parametrize("fail", [fail_in_wsgi, fail_in_asgi])
def test_a_traceback_has_the_headers_in_one_of_our_frames(
    to_asgi: ToAsgi, fail: Callable[[ToAsgi], None]
) -> None:
    """Sentry prints the local variables of each frame. The argument of an app is one of them."""
    with pytest.raises(Failure) as caught:
        fail(to_asgi)

    ours = [
        REPORTS["walk"](frame.f_locals).count(SECRET)
        for frame, _ in walk_tb(caught.value.__traceback__)
        if frame.f_code.co_filename.startswith(PACKAGE)
    ]
    assert sum(ours) == 1


def test_a_head_is_printed_without_its_headers() -> None:
    head = head_for_asgi("200 OK", [("Set-Cookie", "id=secret-token")])

    assert SECRET not in repr(head)


def test_an_invalid_message_is_described_without_its_values(to_asgi: ToAsgi) -> None:
    message: Message = {"status": 200, "headers": [(b"set-cookie", b"id=secret-token")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(message)

    with pytest.raises(bridge.AppProtocolError, match=r"a dict with the keys status, headers") as e:
        call_asgi(app)
    assert SECRET not in str(e.value)


@pytest.mark.parametrize(
    "headers",
    [
        [("set-cookie", "id=secret-token")],  # str
        [(b"set-cookie", b"id=secret-token", b"")],
        [b"id=secret-token"],
        b"id=secret-token",
        {"set-cookie": "id=secret-token"},
    ],
)
def test_invalid_headers_are_described_without_their_values(headers: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    with pytest.raises(bridge.AppProtocolError) as caught:
        call_asgi(app)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"Set-Cookie": "id=secret-token"},
        [("Set-Cookie", b"id=secret-token")],
        [("Set-Cookie", "id=secret-token", "")],
        ["id=secret-token"],
    ],
)
def test_invalid_headers_of_a_wsgi_app_are_described_without_their_values(headers: Any) -> None:
    with pytest.raises(bridge.AppProtocolError) as caught:
        head_for_asgi("200 OK", headers)
    assert SECRET not in str(caught.value)

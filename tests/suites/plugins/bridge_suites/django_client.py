"""The crossing for Django's test clients, ``Client`` and ``AsyncClient``.

Their handlers return Django's response object, with the templates and contexts that tests look at,
and not a WSGI or ASGI response. So the request and the body cross, and the object is handed over
beside them: an app around the handler keeps it, and the body that has crossed is put into it.

The tests' database connections belong to the thread of the test: a test's transaction is open on
them. The thread on which the handler's sync code runs is lent them, as ``LiveServerTestCase`` does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async

from .adapters import asgi_crossing, wsgi_crossing

__all__ = ["cross_clients"]


def cross_clients() -> None:
    """Put the crossing into both clients' handlers."""
    client: Any = import_module("django.test.client")
    handle, handle_async = client.ClientHandler.__call__, client.AsyncClientHandler.__call__

    @functools.wraps(handle)
    def cross(self: Any, environ: Any) -> Any:
        return _cross(functools.partial(handle, self), environ)

    @functools.wraps(handle_async)
    async def cross_async(self: Any, scope: Any) -> Any:
        return await _cross_async(functools.partial(handle_async, self), scope)

    client.ClientHandler.__call__ = cross
    client.AsyncClientHandler.__call__ = cross_async


def _cross(handle: Any, environ: Any) -> Any:
    responses: list[Any] = []
    if isinstance(environ.get("CONTENT_LENGTH"), int):  # some tests'; PEP 3333 asks for str
        environ["CONTENT_LENGTH"] = str(environ["CONTENT_LENGTH"])
    connections = _connections()

    def app(environ: Any, start_response: Any) -> Any:
        _lend(connections)
        response = handle(environ)
        responses.append(response)
        fields = _fields(response)
        start_response(f"{response.status_code} {response.reason_phrase}", fields)
        return _sync_content(response)

    with _shared(connections):
        result = wsgi_crossing(app)(environ, lambda status, headers, exc_info=None: None)
        try:
            body = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
    return _with_body(responses[0], body)


async def _cross_async(handle: Any, scope: Any) -> Any:
    from django.test.client import FakePayload

    responses: list[Any] = []
    body_file = scope.pop("_body_file", None)
    request_body = b"" if body_file is None else body_file.read()
    if isinstance(scope["query_string"], str):  # some of the factory's; ASGI asks for bytes
        scope["query_string"] = scope["query_string"].encode("latin-1")
    received: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        response = await handle({**scope, "_body_file": FakePayload(body)})
        responses.append(response)
        headers = [(n.encode(), v.encode("latin-1")) for n, v in _fields(response)]
        head = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await send(head)
        content = b"".join(_sync_content(response))
        await send({"type": "http.response.body", "body": content})

    async def receive() -> Any:
        return {"type": "http.request", "body": request_body, "more_body": False}

    async def send(message: Any) -> None:
        received.append(message.get("body", b""))

    connections = await sync_to_async(_connections)()  # the test's are on its sync thread
    with _shared(connections):
        crossing = asgi_crossing(app, before=functools.partial(_lend, connections))
        await crossing(scope, receive, send)
    return _with_body(responses[0], b"".join(received))


def _fields(response: Any) -> list[tuple[str, str]]:
    """The header of a response. A body that does not cross has no length."""
    left_out = "content-length" if _is_async_stream(response) else ""
    return [
        *((name, value) for name, value in response.items() if name.lower() != left_out),
        *(("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()),
    ]


def _sync_content(response: Any) -> list[bytes]:
    """The chunks of a response. An async stream belongs to the loop of the test: it stays there."""
    if _is_async_stream(response):
        return []
    return list(response.streaming_content) if response.streaming else [response.content]


def _is_async_stream(response: Any) -> bool:
    return bool(response.streaming and response.is_async)


def _with_body(response: Any, body: bytes) -> Any:
    """The response, with the body that has crossed. An empty one of a HEAD request stays."""
    if response.streaming:
        if not response.is_async:
            response.streaming_content = iter([body])
    elif body and body != response.content:
        response.content = body
    return response


def _connections() -> dict[str, Any]:
    """The database connections of this thread."""
    from django.db import connections

    return {each.alias: each for each in connections.all(initialized_only=True)}


def _lend(lent: dict[str, Any]) -> None:
    """Give this thread the connections of another."""
    from django.db import connections

    for alias, connection in lent.items():
        connections[alias] = connection


@contextmanager
def _shared(lent: dict[str, Any]) -> Iterator[None]:
    """Allow the connections on other threads."""
    for connection in lent.values():
        connection.inc_thread_sharing()
    try:
        yield
    finally:
        for connection in lent.values():
            connection.dec_thread_sharing()

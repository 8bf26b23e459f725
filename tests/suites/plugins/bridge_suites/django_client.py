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
    with _shared_connections() as lend:

        def app(environ: Any, start_response: Any) -> list[bytes]:
            lend()
            response = handle(environ)
            responses.append(response)
            fields = [
                *response.items(),
                *(("Set-Cookie", c.OutputString()) for c in response.cookies.values()),
            ]
            start_response(f"{response.status_code} {response.reason_phrase}", fields)
            return [] if response.streaming else [response.content]

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
        headers = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
        head = {"type": "http.response.start", "status": response.status_code, "headers": headers}
        await send(head)
        content = b"" if response.streaming else response.content
        await send({"type": "http.response.body", "body": content})

    async def receive() -> Any:
        return {"type": "http.request", "body": request_body, "more_body": False}

    async def send(message: Any) -> None:
        received.append(message.get("body", b""))

    with _shared_connections() as lend:
        await asgi_crossing(app, before=lend)(scope, receive, send)
    return _with_body(responses[0], b"".join(received))


def _with_body(response: Any, body: bytes) -> Any:
    if not response.streaming and body != response.content:
        response.content = body
    return response


@contextmanager
def _shared_connections() -> Iterator[Any]:
    """Yields a function that gives its thread this thread's connections."""
    from django.db import connections

    mine = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for connection in mine.values():
        connection.inc_thread_sharing()

    def lend() -> None:
        for alias, connection in mine.items():
            connections[alias] = connection

    try:
        yield lend
    finally:
        for connection in mine.values():
            connection.dec_thread_sharing()

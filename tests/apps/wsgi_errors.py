"""Routes that fail before and after the head and the first chunk, and routes with ``exc_info``.

They raise an exception with the test's key as its message, or replace a head that was not sent by
an error page.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Iterable, Iterator

from bridge.types import Environ, ExcInfo, StartResponse
from tests.apps.wsgi_routes import PLAIN, Boom, query, route
from tests.harness import control


@route("/error")
def error_at_once(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise Boom(query(environ)["key"])


@route("/error/group")
def error_group(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """What a task group raises whose tasks were cancelled: not an Exception."""
    raise BaseExceptionGroup(query(environ)["key"], [CancelledError()])


@route("/error/after-head")
def error_after_head(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Fails after start_response and before the body: a 500 is still possible."""
    start_response("200 OK", [*PLAIN, ("X-Never", "seen")])
    raise Boom(query(environ)["key"])


@route("/error/first-chunk")
def error_first_chunk(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [*PLAIN, ("X-Never", "seen")])
    if environ["wsgi.input"] is not None:
        raise Boom(query(environ)["key"])
    yield b""


@route("/error/after-empty-chunk")
def error_after_empty_chunk(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """An empty chunk must not send the head (PEP 3333, The start_response() Callable)."""
    start_response("200 OK", [*PLAIN, ("X-Never", "seen")])
    yield b""
    raise Boom(query(environ)["key"])


@route("/error/after-chunk")
def error_after_chunk(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """A part of the body has been sent: the client must see that it is incomplete."""
    params = query(environ)
    start_response("200 OK", PLAIN)
    yield b"a part"
    control.gate(params["key"], "fail")
    raise Boom(params["key"])


@route("/error/after-write")
def error_after_write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    writer = start_response("200 OK", PLAIN)
    writer(b"a part")
    control.gate(query(environ)["key"], "fail")
    raise Boom(query(environ)["key"])


@route("/replace")
def replace(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``exc_info`` replaces a head that has not been sent."""
    start_response("200 OK", [*PLAIN, ("X-Never", "seen")])
    start_response("503 Replaced", [*PLAIN, ("X-Replaced", "yes")], caught(Boom("replaced")))
    return [b"an error page"]


@route("/replace/lazy")
def replace_lazy(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [*PLAIN, ("X-Never", "seen")])
    yield b""
    start_response("503 Replaced", [*PLAIN, ("X-Replaced", "yes")], caught(Boom("replaced")))
    yield b"an error page"


@route("/replace/late")
def replace_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Too late: ``start_response`` must raise the exception, and the response is aborted."""
    params = query(environ)
    start_response("200 OK", PLAIN)
    yield b"a part"
    control.gate(params["key"], "fail")
    try:
        start_response("500 Too Late", PLAIN, caught(Boom(params["key"])))
    except Boom as raised:
        control.report(params["key"], "raised", message=str(raised))
        raise
    yield b"never"


def caught(error: Exception) -> ExcInfo:
    """The ``exc_info`` of an exception, with a traceback."""
    try:
        raise error
    except Exception:
        kind, value, traceback = sys.exc_info()
    assert kind is not None
    assert value is not None
    assert traceback is not None
    return kind, value, traceback

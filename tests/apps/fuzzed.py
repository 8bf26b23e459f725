"""The apps that the fuzzer's requests go to, each of them native or behind a part of bridge.

``X-Through`` chooses by its first letter: see :data:`APPS`. Every app does what the second letter
says (:data:`tests.fuzz.requests.MODES`) and writes what it sees, as a line of JSON, to the file
``BRIDGE_FUZZ_REPORTS``. So do the dispatchers in front, which show when each call begins and ends,
and the loggers of bridge.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

import django
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.urls import re_path

import bridge
from bridge._http.paths import native
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp
from tests.fuzz.payloads import PAYLOADS
from tests.fuzz.requests import SECOND

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    LOGGING_CONFIG=None,
)
django.setup()

from bridge.contrib.django import get_asgi_application  # noqa: E402  # reads the settings

_file = os.open(os.environ["BRIDGE_FUZZ_REPORTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def report(event: str, id: str, **facts: object) -> None:
    """Add a line to the reports. One write: processes and threads do not mix their lines."""
    os.write(_file, json.dumps({"event": event, "id": id, **facts}).encode() + b"\n")


READY = "/ready"
"""The path that is requested until the server responds."""


class Unrouted(Exception):
    """A request without ``X-Through``: the fuzzer cannot attribute it."""


class Reporting(logging.Handler):
    """Reports what bridge logs."""

    def emit(self, record: logging.LogRecord) -> None:
        report("log", "", message=record.getMessage(), level=record.levelno)


logging.getLogger("bridge").addHandler(Reporting())
logging.getLogger("bridge").setLevel(logging.DEBUG)


# -- what the apps respond -------------------------------------------------------------------------


def answer(id: str, path: str) -> tuple[int, list[tuple[str, str]], list[bytes]]:
    """Status, headers and pieces of the response."""
    mode = id[1:2]
    name = b"second" if path.encode("utf-8", "replace") == SECOND else b"first"
    if mode == "e" and name == b"first":
        raise RuntimeError("the app failed, as the fuzzer has asked")
    if mode == "0":
        return 204, [], []
    if mode == "c":
        return 200, [("content-type", "text/plain")], [name, b"!"]
    fields = [("content-type", "text/plain"), ("content-length", str(len(name)))]
    return 200, fields, [name]


def _status_line(status: int) -> str:
    return f"{status} {'No Content' if status == 204 else 'OK'}"


# -- the apps --------------------------------------------------------------------------------------


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Reports the scope and the body."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    id = id_of(scope)
    if id[1:2] == "p" and scope["path"].encode("utf-8", "replace") != SECOND:
        await _send_payload(int(id[4:]), send)
        return
    body, cut = (b"", False) if id[1:2] == "n" else await _asgi_body(receive)
    _report_scope(id, scope, body, cut)
    if cut:
        return
    status, fields, pieces = answer(id, scope["path"])
    headers = [(name.encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _report_scope(id: str, scope: Scope, body: bytes, cut: bool) -> None:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    report(
        "seen",
        id,
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body.decode("latin-1"),
        cut=cut,
        version=scope["http_version"],
        terminated=True,
    )


async def _asgi_body(receive: Receive) -> tuple[bytes, bool]:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body, True
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body, False


async def _send_payload(number: int, send: Send) -> None:
    status, fields = PAYLOADS[number].asgi()
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"payload"})


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reports the environ and the body."""
    id = environ["HTTP_X_THROUGH"]
    if id[1:2] == "p" and _path(environ).encode("utf-8", "replace") != SECOND:
        start_response(*PAYLOADS[int(id[4:])].wsgi())
        return [b"payload"]
    _report_environ(id, environ, b"" if id[1:2] == "n" else None)
    status, fields, pieces = answer(id, _path(environ))
    start_response(_status_line(status), fields)
    return iter(() if environ["REQUEST_METHOD"] == "HEAD" else pieces)


def _report_environ(
    id: str, environ: Environ, body: bytes | None = None, cut: bool = False
) -> None:
    """Report an environ.

    :param body: None: read it, and raise what reading it raises.
    """
    error: Exception | None = None
    if body is None:
        try:
            body, cut = _wsgi_body(environ)
        except Exception as raised:
            body, cut, error = b"", True, raised
    report(
        "seen",
        id,
        method=environ["REQUEST_METHOD"],
        path=_path(environ),
        query=environ.get("QUERY_STRING", ""),
        headers=list(_wsgi_headers(environ)),
        body=body.decode("latin-1"),
        cut=cut,
        version=environ["SERVER_PROTOCOL"].partition("/")[2],
        terminated=bool(environ.get("wsgi.input_terminated")),
    )
    if error is not None:
        raise error


def _wsgi_body(environ: Environ) -> tuple[bytes, bool]:
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH") or ""
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(length)) if length.strip(" \t").isdigit() else b""
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    return body, not chunked and length.strip(" \t").isdigit() and len(body) < int(length)


def _path(environ: Environ) -> str:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode("utf-8", "replace")


def _wsgi_headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if value:
                yield key.lower().replace("_", "-"), value
        elif key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
            yield key.lower(), value  # of a name with an underscore: granian accepts that
        elif key.startswith("HTTP_"):
            yield key[5:].lower().replace("_", "-"), value


def view(request: Any) -> Any:
    """Reports what Django sees."""
    return _django_response(request)


async def async_view(request: Any) -> Any:
    return _django_response(request)


def _django_response(request: Any) -> Any:
    id = request.META["HTTP_X_THROUGH"]
    body, cut = b"", False
    if id[1:2] != "n":
        try:
            body = request.body
        except UnreadablePostError:
            cut = True
    path = request.META["SCRIPT_NAME"] + request.path_info
    if hasattr(request, "environ"):
        _report_environ(id, {**request.environ, "PATH_INFO": native(path)}, body, cut)
    else:
        _report_scope(id, {**request.scope, "path": path}, body, cut)
    if cut:
        return HttpResponse(status=400)
    status, fields, pieces = answer(id, path)
    if request.method == "HEAD":  # Django leaves that to the server, and some do not do it
        pieces = []
    if id[1:2] == "c":
        return StreamingHttpResponse(iter(pieces), status=status, headers=dict(fields))
    return HttpResponse(b"".join(pieces), status=status, headers=dict(fields))


urlpatterns: list[Any] = [re_path(r"^async", async_view), re_path(r"", view)]


# -- in front of the apps --------------------------------------------------------------------------


def id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name.lower() == b"x-through":
            id: str = value.decode("latin-1")
            return id
    if scope["path"] == READY:
        return "nl0-ready"
    raise Unrouted(scope)


def asgi_dispatcher(apps: dict[str, AsgiApp]) -> AsgiApp:
    """Chooses the app of a request, and reports when its call begins and ends."""

    async def dispatcher(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await apps["r"](scope, receive, send)
            return
        id = id_of(scope)
        report("begin", id, type=scope["type"])
        try:
            await apps[id[0]](scope, receive, send)
        finally:
            report("end", id)

    return dispatcher


def wsgi_dispatcher(apps: dict[str, WsgiApp]) -> WsgiApp:
    """The same for a WSGI server."""

    def dispatcher(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == READY:
            environ.setdefault("HTTP_X_THROUGH", "nl0-ready")
        if "HTTP_X_THROUGH" not in environ:
            raise Unrouted(environ)
        id = environ["HTTP_X_THROUGH"]
        report("begin", id, type="http")
        try:
            body = apps[id[0]](environ, start_response)
        except BaseException:
            report("end", id)
            raise
        return Reported(body, id)

    return dispatcher


class Reported:
    """An app's iterable. Its ``close`` reports the end of the call."""

    def __init__(self, body: Iterable[bytes], id: str) -> None:
        self._body = body
        self._id = id

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            report("end", self._id)


_router = bridge.Router({"/": wsgi, "/async": asgi}, threads=4, lifespan="auto")
_site = get_asgi_application(threads=4)

APPS = {
    "n": "the native app",
    "a": "an adapter",
    "r": "a Router",
    "d": "Django",
    "t": "two adapters",
}
"""The letters of ``X-Through``."""

asgi_app = asgi_dispatcher(
    {
        "n": asgi,
        "a": bridge.to_asgi(wsgi, threads=4),
        "r": _router,
        "d": _site,
        "t": bridge.to_asgi(bridge.to_wsgi(asgi, lifespan="off"), threads=4),
    }
)
wsgi_app = wsgi_dispatcher(
    {
        "n": wsgi,
        "a": bridge.to_wsgi(asgi, lifespan="off"),
        "r": _router.wsgi,
        "d": _site.wsgi,
        "t": bridge.to_wsgi(bridge.to_asgi(wsgi, threads=4), lifespan="off"),
    }
)

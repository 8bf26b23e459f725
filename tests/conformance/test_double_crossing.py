"""An app behind both adapters behaves like the app itself, for any request.

``to_wsgi(to_asgi(app))`` for WSGI apps, ``to_asgi(to_wsgi(app))`` for ASGI apps. Every request
passes both adapters, so these tests show everything that one of them adds, drops or changes. The
allowed differences are in :func:`normalized`, :func:`environ_differs` and :func:`scope_differs`.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from contextvars import Context, ContextVar
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote, quote_from_bytes

import bottle  # type: ignore[import-untyped]  # no stubs
import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import bridge
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse, WsgiApp
from tests.apps import asgi_conformance, wsgi_conformance, wsgi_faulty  # noqa: F401 (its routes)
from tests.harness.asgi import call as call_asgi
from tests.harness.asgi import call_async, http_scope, lifespan
from tests.harness.http import Response
from tests.harness.wsgi import WsgiExchange, call, environ_of

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
FIELD_BYTES = [*range(0x20, 0x7F), *range(0x80, 0x100)]

field_names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map("x-{}".format)
field_values = st.lists(st.sampled_from(FIELD_BYTES), max_size=20).map(bytes)
fields = st.lists(st.tuples(field_names.map(str.encode), field_values), max_size=6)
segments = st.binary(max_size=12).filter(lambda part: b"/" not in part)
queries = st.lists(st.sampled_from(range(0x21, 0x7F)), max_size=30).map(lambda q: bytes(q).decode())
bodies = st.none() | st.binary(max_size=3000)


class Wrapped:
    """Apps behind both adapters, closed together."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self._outer: list[bridge.AsgiToWsgi] = []
        self._inner: list[bridge.WsgiToAsgi] = []
        self._adapters: dict[Any, Any] = {}

    def wsgi(self, app: WsgiApp) -> WsgiApp:
        """The WSGI app behind both adapters."""
        if app not in self._adapters:
            inner = bridge.WsgiToAsgi(app, threads=2)
            self._adapters[app] = outer = bridge.AsgiToWsgi(inner, lifespan="on", body_window=1000)
            self._outer.append(outer)
        found: WsgiApp = self._adapters[app]
        return found

    def asgi(self, app: AsgiApp) -> AsgiApp:
        """The ASGI app behind both adapters."""
        if app not in self._adapters:
            inner = bridge.AsgiToWsgi(app, body_window=1000)
            self._adapters[app] = outer = bridge.WsgiToAsgi(inner, threads=2)
            self._outer.append(inner)
            self._inner.append(outer)
        found: AsgiApp = self._adapters[app]
        return found

    def request(self, app: AsgiApp, scope: Scope, *body: bytes) -> Response:
        return self.runner.run(call_async(app, scope, *body))

    def close(self) -> None:
        for inner in self._inner:
            self.runner.run(self._end(inner))
        for outer in self._outer:
            outer.close()
        self.runner.close()

    async def _end(self, adapter: bridge.WsgiToAsgi) -> None:
        async with lifespan(adapter):
            pass


@pytest.fixture(scope="module")
def wrapped() -> Iterator[Wrapped]:
    wrapped = Wrapped()
    yield wrapped
    wrapped.close()


def normalized(response: Response, method: str) -> Response:
    """A response as any server sends it: sorted and stripped headers, no body where HTTP has none.

    Without ``content-length``, which the server may add for a complete body.
    """
    headers = tuple(
        sorted(
            (name, value.strip()) for name, value in response.headers if name != "content-length"
        )
    )
    if method == "HEAD" or response.status in (204, 304):
        return replace(response, headers=headers, body=b"")
    return replace(response, headers=headers)


def outcome(request: Callable[[], Response], method: str) -> Response | str:
    """The response, or the type and text of the error. An OSError may be wrapped."""
    try:
        return normalized(request(), method)
    except bridge.BridgeError as error:
        return str(error.__cause__ or error).partition(" raised ")[2] or type(error).__name__
    except Exception as error:
        return f"{type(error).__name__}: {error}"


# -- WSGI apps -------------------------------------------------------------------------------------

WSGI_PATHS = [
    "/",
    "/upload?how=read-all",
    "/upload?how=read-7",
    "/upload?how=readline",
    "/upload?how=readlines",
    "/upload?how=iter",
    "/upload?how=none",
    "/upload/unvalidated",
    "/status?line=" + quote("201 Made&body=x", safe="=&"),
    "/status?line=" + quote("204 Nothing&body=x", safe="=&"),
    "/status?line=" + quote("304 Same&body=x", safe="=&"),
    "/empty-list",
    "/empty-chunks",
    "/lazy",
    "/lazy/empty",
    "/write",
    "/headers",
    "/replace",
    "/replace/lazy",
    "/nowhere",
]


def wsgi_environ(draw: st.DrawFn, path: str) -> Callable[[], Environ]:
    """A function that returns the same environ at each call."""
    method, body = draw(st.sampled_from(METHODS)), draw(bodies)
    if method == "HEAD" and path.startswith("/replace"):
        method = "GET"  # a HEAD response is complete after the first chunk, even an empty one
    extra = {
        f"HTTP_{n.decode().upper().replace('-', '_')}": v.decode("latin-1") for n, v in draw(fields)
    }
    path, _, query = path.partition("?")
    return lambda: environ_of(
        method,
        path,
        query=query,
        body=body,
        keys={"CONTENT_TYPE": "application/octet-stream", **extra},
    )


@st.composite
def conformance_environs(draw: st.DrawFn) -> Callable[[], Environ]:
    return wsgi_environ(draw, draw(st.sampled_from(WSGI_PATHS)))


@given(conformance_environs())
def test_the_wsgi_conformance_app_sends_the_same_response(
    wrapped: Wrapped, make: Callable[[], Environ]
) -> None:
    app, method = wsgi_conformance.app, make()["REQUEST_METHOD"]

    direct = outcome(lambda: call(app, make(), validate=False), method)
    both = outcome(lambda: call(wrapped.wsgi(app), make(), validate=False), method)

    assert both == direct


def reflect(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Responds with the str values of the environ and a digest of the body."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    shown = {key: value for key, value in environ.items() if type(value) is str}
    shown["body"] = hashlib.sha256(body).hexdigest()
    shown["x.object"] = repr(environ.get("x.object"))
    report = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [report]


def environ_differs(key: str) -> bool:
    """Whether the second environ may have another value."""
    return key in ("SERVER_SOFTWARE", "RAW_URI", "REQUEST_URI")


@st.composite
def any_environs(draw: st.DrawFn) -> Callable[[], Environ]:
    """Any path of any bytes below a UTF-8 mount point, and keys of a particular server."""
    make = wsgi_environ(draw, "/")
    script_name = draw(st.sampled_from(["", "/mount", "/mount/two", "/caf\xc3\xa9"]))
    parts = draw(st.lists(segments, min_size=1, max_size=4))
    path_info = "/" + b"/".join(parts).decode("latin-1")
    query = draw(queries)
    raw = quote_from_bytes((script_name + path_info).encode("latin-1"))
    extra = {
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "RAW_URI": f"{raw}?{query}" if query else raw,
        "REMOTE_USER": "ada",
        "x.text": "kept",
        "x.object": ("any", "object"),
        "SSL_CLIENT_S_DN": "CN=ada",
    }
    return lambda: {**make(), **extra}


@given(any_environs())
def test_a_wsgi_app_gets_the_same_environ(wrapped: Wrapped, make: Callable[[], Environ]) -> None:
    direct = call(reflect, {**make(), "REQUEST_METHOD": "POST"}, validate=False).json()
    both = call(wrapped.wsgi(reflect), {**make(), "REQUEST_METHOD": "POST"}, validate=False).json()

    kept = {key: value for key, value in direct.items() if not environ_differs(key)}
    assert {key: both.get(key) for key in kept} == kept
    assert both["RAW_URI"] == both["REQUEST_URI"]


flask_app = flask.Flask(__name__)
flask_app.config["PROPAGATE_EXCEPTIONS"] = False


@flask_app.route("/form", methods=["GET", "POST"])
def form() -> Any:
    values = flask.request.values.to_dict(flat=False)
    response = flask.jsonify(values=values, args=dict(flask.request.args))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@flask_app.route("/stream")
def stream() -> Any:
    return flask.Response((f"{n};" for n in range(5)), mimetype="text/plain")


@flask_app.route("/name/<name>")
def name(name: str) -> Any:
    return flask.redirect(flask.url_for("name", name=name, _external=True, q="x"))


bottle_app = bottle.Bottle()


@bottle_app.route("/form", method=["GET", "POST"])  # type: ignore[untyped-decorator]  # no stubs
def bottle_form() -> Any:
    return {key: bottle.request.forms.getall(key) for key in bottle.request.forms}


@pytest.mark.parametrize("app", [flask_app, bottle_app])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(["/form", "/stream", "/name/caf\xc3\xa9", "/nowhere", "/form/"]),
    query=queries,
    values=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=20)), max_size=5),
)
def test_a_wsgi_framework_sends_the_same_response(
    wrapped: Wrapped, app: Any, method: str, path: str, query: str, values: list[tuple[str, str]]
) -> None:
    body = "&".join(f"{quote(k)}={quote(v)}" for k, v in values).encode()
    kind = "application/x-www-form-urlencoded"

    def make() -> Environ:
        return environ_of(method, path, query=query, body=body, keys={"CONTENT_TYPE": kind})

    direct = outcome(lambda: call(app, make(), validate=False), method)
    both = outcome(lambda: call(wrapped.wsgi(app), make(), validate=False), method)

    assert both == direct


# -- ASGI apps -------------------------------------------------------------------------------------


async def reflect_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds with the JSON values of the scope and a digest of the body."""
    assert scope["type"] == "http"
    digest, more = hashlib.sha256(), True
    while more:
        message: Message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    shown = asgi_conformance.plain({k: v for k, v in scope.items() if k != "wsgi_environ"})
    report = json.dumps({**shown, "body": digest.hexdigest()}).encode()
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(report), 500):
        piece = report[start : start + 500]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@st.composite
def any_scopes(draw: st.DrawFn) -> Scope:
    """Scopes like uvicorn's, of any legal request."""
    root_path = draw(st.sampled_from(["", "/mount", "/caf\xe9"]))
    path = root_path + "/" + draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
    cookies = draw(st.lists(st.sampled_from([b"a=1", b"b=2"]), max_size=2))
    return http_scope(
        draw(st.sampled_from(METHODS)),
        path,
        raw_path=quote(path, safe="/").encode(),
        root_path=root_path,
        query=draw(queries).encode(),
        headers=[*draw(fields), *((b"cookie", cookie) for cookie in cookies)],
        session={"user": 7},
        extensions={"tls": {"tls_version": None}, "mine": {"any": "thing"}},
    )


def scope_differs(key: str) -> bool:
    """Whether the second scope may have another value."""
    return key in ("asgi", "state", "extensions")


def framed(scope: Scope, body: list[bytes]) -> Scope:
    """The scope with the ``content-length`` of its body, if it has one."""
    length = sum(map(len, body))
    framing = (b"content-length", b"%d" % length) if length else None
    return {**scope, "headers": [*scope["headers"], *filter(None, [framing])]}


@given(any_scopes(), st.lists(st.binary(max_size=2500), max_size=4))
def test_an_asgi_app_gets_the_same_scope_and_sends_the_same_response(
    wrapped: Wrapped, scope: Scope, body: list[bytes]
) -> None:
    scope = {**framed(scope, body), "method": "POST"}

    direct = wrapped.request(reflect_scope, {**scope}, *body)
    both = wrapped.request(wrapped.asgi(reflect_scope), {**scope}, *body)

    assert normalized(both, "POST").headers == normalized(direct, "POST").headers
    seen = both.json()
    kept = {key: value for key, value in direct.json().items() if not scope_differs(key)}
    assert {key: seen.get(key) for key in kept} == kept
    assert seen["extensions"]["mine"] == {"any": "thing"}
    assert seen["extensions"]["tls"] == {"tls_version": None}


async def starlette_form(request: Request) -> JSONResponse:
    values = await request.form()
    return JSONResponse([[key, str(value)] for key, value in values.multi_items()])


async def starlette_stream(request: Request) -> StreamingResponse:
    async def numbers() -> Any:
        for number in range(5):
            yield f"{number};"
            await asyncio.sleep(0)

    return StreamingResponse(numbers(), media_type="text/plain")


async def starlette_name(request: Request) -> JSONResponse:
    return JSONResponse({"name": request.path_params["name"], "url": str(request.url)})


starlette_app = Starlette(
    routes=[
        Route("/form", starlette_form, methods=["GET", "POST"]),
        Route("/stream", starlette_stream),
        Route("/name/{name}", starlette_name),
    ]
)

ASGI_PATHS = ["/form", "/stream", "/name/caf\xe9", "/nowhere", "/form/"]
ASGI_APPS: list[Any] = [starlette_app, asgi_conformance.http_app]


@pytest.mark.parametrize("app", ASGI_APPS, ids=["starlette", "conformance"])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from([*ASGI_PATHS, "/", "/unread", "/duplex", "/large"]),
    body=st.lists(st.binary(max_size=2500), max_size=3),
)
def test_an_asgi_framework_sends_the_same_response(
    wrapped: Wrapped, app: AsgiApp, method: str, path: str, body: list[bytes]
) -> None:
    kind = (b"content-type", b"application/x-www-form-urlencoded")
    query = b"blocks=3" if path == "/large" else b""
    scope = framed(http_scope(method, path, query=query, headers=[kind]), body)
    scope["raw_path"] = quote(path).encode()

    direct = outcome(lambda: wrapped.request(app, {**scope}, *body), method)
    both = outcome(lambda: wrapped.request(wrapped.asgi(app), {**scope}, *body), method)

    assert both == direct


# -- errors and context variables ------------------------------------------------------------------

user: ContextVar[str] = ContextVar("user", default="-")


class Boom(Exception):
    pass


def test_an_exception_passes_both_adapters_unchanged(wrapped: Wrapped) -> None:
    broken = Boom("broken")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise broken

    with pytest.raises(Boom) as caught:
        call(wrapped.wsgi(app), environ_of())
    assert caught.value is broken

    async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
        raise broken

    with pytest.raises(Boom) as caught:
        wrapped.request(wrapped.asgi(asgi_app), http_scope())
    assert caught.value is broken


def test_context_variables_pass_both_adapters_from_wsgi(wrapped: Wrapped) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = user.get().encode()
        user.set("app")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    both = wrapped.wsgi(app)

    def serve() -> None:
        user.set("server")
        with WsgiExchange(both, environ_of()) as exchange:
            assert exchange.chunk() == b"server"
            assert user.get() == "app"
        assert user.get() == "server"

    Context().run(serve)


def test_context_variables_pass_both_adapters_from_asgi(wrapped: Wrapped) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = user.get().encode()
        user.set("app")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    both = wrapped.asgi(app)
    seen: list[str] = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        user.set("server")
        await both(scope, receive, send)
        seen.append(user.get())

    assert wrapped.request(server, http_scope()).body == b"server"
    assert seen == ["app"]


def test_an_app_writes_to_the_error_stream_of_the_server_that_got_the_request(
    wrapped: Wrapped,
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("a line")
        start_response("204 No Content", [])
        return []

    errors = io.StringIO()
    call(wrapped.wsgi(app), environ_of(keys={"wsgi.errors": errors}))

    assert errors.getvalue() == "a line"


UNDERSCORES = [
    [(b"x_user", b"ada")],
    [(b"x_tag", b"a"), (b"x_tag", b"b")],
    [(b"x_user", b"ada"), (b"x-user", b"eve")],
    [(b"x-user", b"ada"), (b"x-tag", b"a"), (b"x_tag", b"b"), (b"x-tag", b"c")],
]


@pytest.mark.parametrize("fields", UNDERSCORES)
@pytest.mark.parametrize("option", ["keep", "drop"])
def test_header_names_with_underscores_stay_as_they_are_or_are_dropped(
    option: Literal["keep", "drop"], fields: list[tuple[bytes, bytes]]
) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(field for field in scope["headers"] if field[0].startswith(b"x"))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with closing(bridge.AsgiToWsgi(app, lifespan="off")) as inner:
        call_asgi(bridge.WsgiToAsgi(inner, underscore_headers=option), http_scope(headers=fields))

    kept = [field for field in fields if option == "keep" or b"_" not in field[0]]
    assert sorted(seen) == sorted(kept)


class MovedServer:
    """WSGI middleware that changes the address, as one that trusts a proxy does."""

    def __init__(self, app: WsgiApp) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.app({**environ, "SERVER_NAME": "moved", "SERVER_PORT": "81"}, start_response)


SERVERS: list[Any] = [("::1", 8000), ("/run/app.sock", None), ("", 0), ["testserver", 80], None]


@pytest.mark.parametrize("server", SERVERS)
def test_an_asgi_app_gets_the_address_of_the_server_that_got_the_request(server: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["server"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with closing(bridge.AsgiToWsgi(app, lifespan="off")) as inner:
        call_asgi(bridge.WsgiToAsgi(inner), http_scope(server=server))
        call_asgi(bridge.WsgiToAsgi(MovedServer(inner)), http_scope(server=server))

    assert seen == [server, ("moved", 81)]

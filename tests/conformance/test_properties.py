"""Properties of all requests and responses, tested with hypothesis."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote_from_bytes
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.types import Environ, Scope, StartResponse
from tests.apps.wsgi_routes import PLAIN
from tests.harness.asgi import call_async, http_scope, lifespan
from tests.harness.http import Response

TOKEN = "!#$%&'*+-.^`|~" + "0123456789abcdefghijklmnopqrstuvwxyz"
FIELD_BYTES = [*range(0x20, 0x7F), 0x09, *range(0x80, 0x100)]
OWN_NAMES = ("content-length", "content-type", "cookie", "host", "expect")

names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name not in OWN_NAMES)
values = st.lists(st.sampled_from(FIELD_BYTES), max_size=40).map(bytes)
fields = st.lists(st.tuples(names.map(str.encode), values), max_size=10)
segments = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
paths = st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(st.sampled_from(range(0x21, 0x7F)), max_size=40).map(bytes)
pieces = st.lists(st.binary(max_size=300), max_size=8)
hosts = st.sampled_from(["localhost", "example.org", "10.0.0.1", "::1", ""])
addresses = st.none() | st.tuples(hosts, st.integers(0, 65535))
unix_socket = st.just(("/run/app.sock", None))


class Server:
    """One adapter on one event loop, shared by many examples."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.app: Any = None
        self.adapter = bridge.to_asgi(self._call, threads=2)

    def _call(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        result: Iterable[bytes] = self.app(environ, start_response)
        return result

    def request(self, app: Any, scope: Scope, *body: bytes) -> Response:
        self.app = validator(app)
        return self.runner.run(call_async(self.adapter, scope, *body))

    def close(self) -> None:
        self.runner.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        async with lifespan(self.adapter):
            pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Any legal ``http`` scope, with any of the optional keys missing."""
    root_path = draw(st.sampled_from(["", "/mount", "/mount/two", "/caf\xe9", "/"]))
    path = draw(paths)
    scope = http_scope(
        draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])),
        root_path.rstrip("/") + path,
        query=draw(queries),
        headers=draw(fields),
        root_path=root_path,
        http_version=draw(st.sampled_from(["1.0", "1.1", "2", "3"])),
        scheme=draw(st.sampled_from(["http", "https"])),
        client=draw(addresses),
        server=draw(addresses | unix_socket),
    )
    optional = ["raw_path", "root_path", "client", "server", "extensions", "state", "scheme"]
    missing = draw(st.sets(st.sampled_from(optional)))
    if "root_path" in missing:
        scope["path"] = path
    for key in missing:
        del scope[key]
    return scope


def echo_environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    strings = {key: value for key, value in environ.items() if type(value) is str}
    return [json.dumps(strings).encode()]


@given(scope=scopes())
def test_the_environ_of_any_legal_scope_passes_the_validator(server: Server, scope: Scope) -> None:
    response = server.request(echo_environ, scope)

    assert response.status == 200
    if scope["method"] == "HEAD":
        return
    environ = response.json()
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    assert path.encode("latin-1").decode("utf-8") in (scope["path"], scope["path"].rstrip("/"))
    assert environ["QUERY_STRING"].encode("latin-1") == scope["query_string"]
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"].isdigit()


@given(headers=fields)
def test_request_headers_arrive_byte_for_byte(
    server: Server, headers: list[tuple[bytes, bytes]]
) -> None:
    environ = server.request(echo_environ, http_scope(headers=headers)).json()

    expected: dict[str, list[str]] = {}
    for name, value in headers:
        key = "HTTP_" + name.decode().upper().replace("-", "_")
        expected.setdefault(key, []).append(value.decode("latin-1"))
    found = {key: value for key, value in environ.items() if key.startswith("HTTP_")}
    del found["HTTP_HOST"]
    assert found == {key: ",".join(lines) for key, lines in expected.items()}


@given(path=st.binary(max_size=40), query=queries)
def test_paths_arrive_byte_for_byte(server: Server, path: bytes, query: bytes) -> None:
    """Like a server's scope: a path decoded with replacement characters, and the raw path."""
    scope = http_scope(
        path="/" + path.decode("utf-8", "replace"),
        raw_path=b"/" + quote_from_bytes(path).encode(),
        query=query,
    )

    environ = server.request(echo_environ, scope).json()

    assert environ["PATH_INFO"].encode("latin-1") == b"/" + path
    uri = environ["RAW_URI"].encode("latin-1")
    assert uri == scope["raw_path"] + (b"?" + query if query else b"")


@given(body=pieces, sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_request_bodies_arrive_in_any_chunks(
    server: Server, body: list[bytes], sizes: list[int]
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        source = environ["wsgi.input"]
        found = [source.read(size) for size in sizes]
        while data := source.read(100):
            found.append(data)
        start_response("200 OK", PLAIN)
        return found

    assert server.request(app, http_scope("POST"), *body).body == b"".join(body)


@given(body=pieces)
def test_wsgi_input_splits_lines_like_a_file(server: Server, body: list[bytes]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        lines = list(environ["wsgi.input"])
        start_response("200 OK", PLAIN)
        return [json.dumps([line.decode("latin-1") for line in lines]).encode()]

    lines = server.request(app, http_scope("POST"), *body).json()

    expected = re.findall(rb"[^\n]*\n|[^\n]+", b"".join(body))
    assert [line.encode("latin-1") for line in lines] == expected


@given(body=pieces, written=pieces, declared=st.booleans())
def test_response_bodies_arrive_in_any_chunks(
    server: Server, body: list[bytes], written: list[bytes], declared: bool
) -> None:
    whole = b"".join([*written, *body])

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        length = [("Content-Length", str(len(whole)))] if declared else []
        write = start_response("200 OK", [*PLAIN, *length])
        for data in written:
            write(data)
        return iter(body)

    response = server.request(app, http_scope())

    assert response.body == whole
    assert response.header("content-length") in (None, str(len(whole)))


LEGAL_NAME = re.compile("[a-z][a-z0-9-]*[a-z0-9]")  # what the validator accepts
response_names = st.from_regex(LEGAL_NAME, fullmatch=True).filter(
    lambda name: (
        name
        not in {
            "content-length",
            "content-type",
            "status",
            "connection",
            "te",
            "keep-alive",
            "transfer-encoding",
            "upgrade",
            "trailer",
            "trailers",
            "proxy-authenticate",
            "proxy-authorization",
        }
    )
)
response_values = st.text([chr(n) for n in FIELD_BYTES if n >= 0x20], max_size=40)


@given(
    status=st.integers(200, 599).filter(lambda code: code not in (204, 304)),
    reason=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    headers=st.lists(st.tuples(response_names, response_values), max_size=10),
)
def test_response_heads_arrive_byte_for_byte(
    server: Server, status: int, reason: str, headers: list[tuple[str, str]]
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(f"{status} {reason}", [*PLAIN, *headers])
        return iter([b"body"])

    response = server.request(app, http_scope())

    assert response.status == status
    assert list(response.headers[1:]) == [(name, value.strip(" ")) for name, value in headers]

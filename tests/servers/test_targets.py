"""Request targets on every server: the app sees the path that middleware in front of it has seen.

Servers differ in what they make of a target that is not a path (RFC 9112, 3.2): some reduce a whole
URI to its path, some pass it on, some answer 400. Behind all of them bridge passes on the path that
the server has set, or answers 400, and never searches the text for another path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
from h2.exceptions import ProtocolError

from tests.apps.guard import problem_behind_guard
from tests.conftest import LiveServer
from tests.harness.http import Aborted, Response, Stream, request_head
from tests.harness.servers import ASGI_SERVERS, SERVERS, serve
from tests.harness.wsgi_servers import WSGI

ROOT = "/api"


@dataclass(frozen=True)
class Target:
    """A request target, as sent.

    :ivar paths: what a server may make of it, besides decoding it.
    """

    text: str
    paths: Sequence[str] = ()
    method: str = "GET"

    @property
    def is_ordinary(self) -> bool:
        """Whether no server may refuse it."""
        return self.text[0] == "/" and "%" not in self.text

    def __str__(self) -> str:
        return f"{self.method} {self.text}"


TARGETS = [
    Target("/"),
    Target("/admin"),
    Target("/admin/files/x"),
    Target("/administrator"),
    Target("/api"),
    Target("/api/"),
    Target("/api/admin"),
    Target("/api//admin"),
    Target("/apix"),
    Target("/apix://h/admin"),
    Target("/apihttp://h/admin"),
    Target("/apihttp%3a%2f%2fh%2fadmin"),
    Target("/http://h/admin"),
    Target("//h/admin", ["/h/admin", "/admin"]),
    Target("///admin", ["/admin", "//admin"]),
    Target("/./admin"),
    Target("/x/../admin"),
    Target("/%61dmin"),
    Target("/%2fadmin", ["/admin"]),
    Target("/%252fadmin"),
    Target("/admin%2ffiles"),
    Target("/caf%C3%A9/x"),
    Target("/caf%E9/x"),
    Target("/*"),
    # Not in the form of a path.
    Target("http://h/admin", ["/admin"]),
    Target("HTTP://h/admin", ["/admin"]),
    Target("x://h/admin", ["/admin"]),
    Target("http://h/api/admin", ["/api/admin"]),
    Target("http://u@h:80//admin", ["//admin", "/admin"]),
    Target("http://h", ["/", ""]),
    Target("%68ttp://h/admin"),
    Target("http%3a%2f%2fh%2fadmin"),
    Target("://h/admin", ["/admin"]),
    Target("admin", [""]),
    Target("admin/files"),
    Target("%2fadmin"),
    Target("?/admin", [""]),
    Target("h:80", ["80", ""]),
    Target("\\admin"),
    Target("*"),
    Target("*", method="OPTIONS"),
]

ROOTS = [None, ROOT, f"{ROOT}/", "/"]
"""What the guard sets as root path or ``SCRIPT_NAME``; None: nothing."""

HOSTS: list[str] = [
    *ASGI_SERVERS,
    *(f"{name} {ROOT}" for name in ASGI_SERVERS if SERVERS[name].root_path),
    *(name for name in WSGI if name != "gunicorn-preload"),
]


@pytest.fixture(scope="module", params=HOSTS)
def guarded(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """The guard on each server; if it has an option for a root path, also with one."""
    name, _, root = request.param.partition(" ")
    spec = WSGI[name].spec if name in WSGI else SERVERS[name]
    args = spec.root_path(root) if root and spec.root_path else []
    with serve(spec, f"tests.apps.guard_targets:{spec.kind}", args=args) as server:
        live_server = LiveServer.of(server)
        yield live_server
        live_server.client.close()


@pytest.mark.parametrize("through", ["adapter", "router", "django"])
def test_the_app_sees_the_path_that_the_guard_has_seen(guarded: LiveServer, through: str) -> None:
    wrong = []
    for target in TARGETS:
        for root in ROOTS:
            fields = [("x-through", through), *([("x-root", root)] if root is not None else [])]
            try:
                response = guarded.client.fetch(target.method, target.text, fields)
            except (Aborted, ProtocolError):
                response = Response(400, ())  # the server has refused it
            problem = problem_with(guarded.server.spec.kind, target, through, response)
            if problem is not None:
                wrong.append(f"{target}, root {root}: {response.status} {problem}")
    assert not wrong, "\n".join(wrong)


def test_the_app_of_a_websocket_sees_the_path_that_the_guard_has_seen(guarded: LiveServer) -> None:
    spec = guarded.server.spec
    if spec.kind == "wsgi" or spec.http == "2":
        pytest.skip("no WebSocket over HTTP/1.1")
    wrong = []
    for target in TARGETS:
        if target.method == "GET":
            response = handshake(guarded.port, target.text)
            problem = problem_with("asgi", target, "router", response)
            if problem is not None:
                wrong.append(f"{target}: {response.status} {problem}")
    assert not wrong, "\n".join(wrong)


HANDSHAKE = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("sec-websocket-version", "13"),
    ("x-through", "router"),
]


def handshake(port: int, target: str) -> Response:
    """The response to the handshake of a WebSocket; if it is accepted, with the two messages."""
    stream = Stream(port)
    try:
        stream.send(request_head("GET", target, HANDSHAKE, port))
        status = int(stream.until(b"\r\n\r\n").split(b" ")[1])
        if status != 101:
            return Response(status, ())
        return Response(200, (("x-guard", message_from(stream).decode()),), message_from(stream))
    except EOFError:
        return Response(400, ())  # the server has refused it
    finally:
        stream.close()


def message_from(stream: Stream) -> bytes:
    """The next message, which the server sends in one frame without a mask (RFC 6455, 5.2)."""
    opcode, size = stream.exactly(2)
    assert opcode == 0x81
    return stream.exactly(int.from_bytes(stream.exactly(2)) if size == 126 else size)


def problem_with(kind: str, target: Target, through: str, response: Response) -> str | None:
    """Why this is not a response to the target; None if it is."""
    guard = response.header("x-guard")
    if guard is None:
        refused = response.status in range(400, 500) and not target.is_ordinary
        return None if refused else "the request did not reach the guard"
    path = json.loads(guard)[0]
    known = {*target.paths, unquote(target.text)}
    if path not in known | {f"{ROOT}{each}" for each in known}:
        return f"the guard saw {path!r}"
    if path == "*" and through == "django" and response.status == 404:
        return None
    return problem_behind_guard(kind, through, response)

"""Which app gets a WebSocket, and how one is refused that no app can serve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

import bridge
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse
from tests.harness import wsgi
from tests.harness.wsgi import environ_of

pytestmark = pytest.mark.usefixtures("close_apps")

DENIAL: dict[str, Any] = {"websocket.http.response": {}}
UPGRADE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("Sec-WebSocket-Version", "13"),
)


class Chat:
    """An ASGI app that accepts every WebSocket with its name and where it is mounted."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        text = f"{self.name} {scope['root_path']} {scope['path']}"
        await send({"type": "websocket.accept", "subprotocol": text})


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


def connect(
    app: AsgiApp, path: str, *, extensions: Any = None, root_path: str = ""
) -> list[Message]:
    """The messages that the app sends to a client that connects."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "path": path,
        "raw_path": path.encode(),
        "root_path": root_path,
        "headers": [],
        "query_string": b"",
    }
    scope |= {} if extensions is None else {"extensions": extensions}
    asyncio.run(_call(app, scope, receive, send))
    return sent


async def _call(app: AsgiApp, *arguments: Any) -> None:
    await app(*arguments)


def accepted_by(app: AsgiApp, path: str) -> str:
    (accepted,) = connect(app, path)
    return str(accepted.get("subprotocol", accepted["type"]))


def router(mounts: Any, websocket: Any = None) -> bridge.Router:
    return bridge.Router(mounts, websocket=websocket, lifespan="off")


api, chat = Chat("api"), Chat("chat")


@pytest.mark.parametrize(
    ("app", "path", "name"),
    [
        # An ASGI app gets the WebSockets of its prefix.
        (router({"/": site, "/api": api}), "/api/ws", "api /api /api/ws"),
        (router({"/": api, "/shop": site}), "/ws", "api  /ws"),
        # Another app can be mounted for them, at the same prefix or at another.
        (router({"/": api}, {"/": chat}), "/ws", "chat  /ws"),
        (router({"/": api}, {"/ws": chat}), "/ws", "chat /ws /ws"),
        (router({"/": api}, {"/ws": chat}), "/other", "api  /other"),
        (router({"/": bridge.Mount(http=site, websocket=chat)}), "/ws", "chat  /ws"),
        (router({"/a": bridge.Mount(http=api), "/": chat}), "/a/ws", "chat  /a/ws"),
        (router({"/a": bridge.Mount(websocket=chat), "/": api}), "/a/ws", "chat /a /a/ws"),
        # One app for all that no ASGI app gets, also below a mounted WSGI app.
        (router({"/": site, "/api": api}, chat), "/x", "chat  /x"),
        (router({"/": site, "/shop": site}, chat), "/shop/live", "chat  /shop/live"),
        (router({"/": site, "/api": api}, chat), "/api/x", "api /api /api/x"),
        (router({"/": site, "/in": router({"/": site})}, chat), "/in/x", "chat  /in/x"),
        # Nested.
        (router({"/": site, "/in": router({"/a": api})}), "/in/a/ws", "api /in/a /in/a/ws"),
        (
            router({"/": api, "/in": router({"/": site}, {"/ws": chat})}),
            "/in/ws",
            "chat /in/ws /in/ws",
        ),
    ],
)
def test_the_app_with_the_longest_prefix_for_websockets_gets_it(
    app: bridge.Router, path: str, name: str
) -> None:
    assert accepted_by(app, path) == name


REFUSED = [
    router({"/": site}),
    router({"/": api, "/shop": site}),
    router({"/": site, "/ws": chat}),
    router({"/in": router({"/shop": site}), "/": api}),
]


@pytest.mark.parametrize(
    ("app", "path", "at"),
    [
        (REFUSED[0], "/ws", "/"),
        (REFUSED[1], "/shop/ws", "/shop"),
        (REFUSED[2], "/other", "/"),
    ],
)
def test_a_websocket_to_a_wsgi_app_is_refused_with_a_log_line(
    app: bridge.Router, path: str, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    (closed,) = connect(app, path, extensions=DENIAL)

    assert closed["type"] == "websocket.close"
    assert [record.getMessage() for record in caplog.records] == [
        f"refused the WebSocket {path}: the app mounted at {at!r}, {__name__}.site, is a WSGI app, "
        f"which cannot serve WebSockets. Mount an ASGI app for them with websocket={{{at!r}: app}}"
    ]


UNMATCHED = [
    (router({"/api": api}), "/"),
    (router({}, {"/ws": chat}), "/wsx"),
    (router({"/": bridge.Mount(http=api), "/x": api}), "/y"),
    (router({"/": api, "/in": router({"/a": api})}), "/in/b"),
]


@pytest.mark.parametrize(("app", "path"), UNMATCHED)
def test_a_websocket_without_an_app_is_closed_before_it_is_accepted(
    app: bridge.Router, path: str
) -> None:
    assert connect(app, path) == [{"type": "websocket.close", "code": 1000, "reason": "not found"}]


@pytest.mark.parametrize(("app", "path"), UNMATCHED)
def test_the_answer_is_404_if_the_server_can_send_it(app: bridge.Router, path: str) -> None:
    start, body = connect(app, path, extensions=DENIAL)

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert body == {
        "type": "websocket.http.response.body",
        "body": b"Not Found\n",
        "more_body": False,
    }


def test_the_prefix_is_looked_up_below_the_root_path() -> None:
    app = router({"/": api}, {"/ws": chat})

    (accepted,) = connect(app, "/proxy/ws/room", root_path="/proxy")

    assert accepted["subprotocol"] == "chat /proxy/ws /proxy/ws/room"


@pytest.mark.parametrize("path", ["/api/ws", "/ws"])
def test_a_wsgi_server_without_a_raw_socket_answers_501(path: str) -> None:
    app = router({"/": site, "/api": api}, {"/ws": chat})

    assert wsgi.call(app, environ_of(path=path, headers=UPGRADE)).status == 501


def test_on_a_wsgi_server_a_wsgi_app_hides_the_asgi_app_at_a_shorter_prefix() -> None:
    app = router({"/": api, "/old": site})

    assert wsgi.call(app, environ_of(path="/old/ws", headers=UPGRADE)).body == b"wsgi"


@pytest.mark.parametrize("app", [site, bridge.to_asgi(site)], ids=["alone", "in an adapter"])
def test_on_a_wsgi_server_a_wsgi_app_gets_the_upgrade_request(app: Any) -> None:
    """Flask-Sock on gunicorn, for example, takes over the connection from there."""
    mounted = router({"/": app, "/api": api}, {"/ws": chat})

    assert wsgi.call(mounted, environ_of(path="/echo", headers=UPGRADE)).body == b"wsgi"


@pytest.mark.parametrize(
    "inner",
    [
        bridge.Router({"/": api}, websockets="off"),
        bridge.AsgiToWsgi(api, websockets="off"),
    ],
    ids=["a nested Router", "an adapter"],
)
def test_on_a_wsgi_server_the_options_of_what_is_mounted_take_precedence(inner: Any) -> None:
    app = router({"/": api, "/off": inner})

    assert wsgi.call(app, environ_of(path="/off/ws", headers=UPGRADE)).status == 426
    assert wsgi.call(app, environ_of(path="/ws", headers=UPGRADE)).status == 501

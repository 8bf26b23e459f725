"""P16: flask-sock runs unmodified on ASGI servers.

flask-sock #58: under an ASGI server there is no socket in the environ, and every WebSocket fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.apps.wsgi_sock import FLOOD, MIB, PING_INTERVAL_S, THREADS
from tests.conftest import Servers
from tests.harness.control import Control
from tests.harness.servers import SERVERS as SERVERS_BY_NAME
from tests.harness.servers import Server, serve

PATIENCE_S = 30.0
SERVERS = [
    "uvicorn-uvloop",
    *(
        pytest.param(name, marks=pytest.mark.full)
        for name in ("uvicorn-h11", "hypercorn", "daphne", "granian", "gunicorn-asgi")
    ),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """The flask-sock app on each of them."""
    yield servers.get(request.param, "tests.apps.wsgi_sock:app", env={})
    assert servers.pop_dead() == []


@pytest.fixture
def uvicorn(servers: Servers) -> Server:
    """The same on the one server that everybody has."""
    return servers.get("uvicorn-uvloop", "tests.apps.wsgi_sock:app", env={})


@contextmanager
def socket_to(server: Server, path: str, **options: Any) -> Iterator[ClientConnection]:
    """A WebSocket for the length of the block."""
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, open_timeout=PATIENCE_S, compression=None, **options) as socket:
        yield socket


def test_text_and_bytes_go_both_ways(server: Server) -> None:
    with socket_to(server, "/echo") as socket:
        for said in ("Ahoy", b"\x00\xff", "⚓" * 50_000, bytes(300_000)):
            socket.send(said)
            assert socket.recv(PATIENCE_S) == said


def test_a_message_in_fragments_is_one_message(server: Server) -> None:
    with socket_to(server, "/echo") as socket:
        socket.send(iter(["Ah", "oy", " ⚓"]))
        assert socket.recv(PATIENCE_S) == "Ahoy ⚓"


def test_the_app_sees_the_handshake(server: Server) -> None:
    options = {"subprotocols": ["chat.v1", "chat.v2"], "additional_headers": {"X-Boat": "Heron"}}
    with socket_to(server, "/about?a=1", **options) as socket:
        words = [socket.recv(PATIENCE_S) for _ in range(4)]
    assert socket.subprotocol == "chat.v2"
    assert words[:3] == ["chat.v2", f"{server.url}/about?a=1", "Heron"]
    assert str(words[3]).startswith("bridge-websocket-")


def test_the_apps_close_code_reaches_the_client(server: Server) -> None:
    with socket_to(server, "/close/4321") as socket:
        assert socket.recv(PATIENCE_S) == "last words"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4321


def test_the_clients_close_code_reaches_the_app(uvicorn: Server, key: str) -> None:
    with socket_to(uvicorn, f"/echo?key={key}") as socket:
        socket.close(4000, "gone fishing")
    wait_until(lambda: seen(uvicorn, key)["end"] == "closed with 4000 gone fishing")


def test_a_client_that_vanishes_ends_the_app(server: Server, key: str) -> None:
    with socket_to(server, f"/echo?key={key}") as socket:
        socket.send("still here")
        assert socket.recv(PATIENCE_S) == "still here"
        socket.socket.shutdown(SHUT_RDWR)
    wait_until(lambda: seen(server, key)["end"].startswith("closed with"))


def test_an_app_that_returns_closes_normally(server: Server) -> None:
    with socket_to(server, "/about") as socket, pytest.raises(ConnectionClosed) as closed:
        read_to_the_end(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_an_app_that_fails_closes_with_1011_and_is_logged_once(uvicorn: Server, key: str) -> None:
    with socket_to(uvicorn, f"/broken?key={key}") as socket:
        assert socket.recv(PATIENCE_S) == "before"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    failure = f"RuntimeError: the mast broke, {key}"
    assert uvicorn.wait_for_log(failure).count(failure) == 1


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/members-only", 403)])
def test_an_ordinary_answer_refuses_the_socket(uvicorn: Server, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, socket_to(uvicorn, path):
        pass
    assert refused.value.response.status_code == status


def test_one_socket_too_many_is_refused_and_http_goes_on(uvicorn: Server) -> None:
    with ExitStack() as opened:
        for _ in range(THREADS):
            wait_for_room(uvicorn, opened)
        with pytest.raises(InvalidStatus) as refused, socket_to(uvicorn, "/echo"):
            pass
        assert refused.value.response.status_code == 503
        assert httpx.get(uvicorn.url, timeout=PATIENCE_S).text.startswith("bridge-worker-")
    with ExitStack() as opened:
        wait_for_room(uvicorn, opened)


def test_a_client_that_stalls_stops_the_app_and_nothing_is_buffered(
    uvicorn: Server, key: str
) -> None:
    rss = uvicorn.rss_bytes()
    with socket_to(uvicorn, f"/flood?key={key}", max_queue=1, max_size=None) as socket:
        wait_until(lambda: seen(uvicorn, key)["sent"] > 0)
        stalled = stands_still(lambda: int(seen(uvicorn, key)["sent"]))
        assert stalled < FLOOD // 2
        assert uvicorn.rss_bytes() - rss < FLOOD // 2 * MIB
        for _ in range(FLOOD):
            assert len(socket.recv(PATIENCE_S)) == MIB
    wait_until(lambda: seen(uvicorn, key)["sent"] == FLOOD)


def test_sockets_that_have_ended_leave_nothing_behind(uvicorn: Server) -> None:
    with ExitStack() as opened:
        wait_for_room(uvicorn, opened)
    wait_until(lambda: uvicorn.threads() <= 64)
    fds, threads = settled(uvicorn.fds), settled(uvicorn.threads)
    for _ in range(25):
        with ExitStack() as opened:
            wait_for_room(uvicorn, opened).send("Ahoy")
    wait_until(lambda: uvicorn.fds() <= fds + 3)
    wait_until(lambda: uvicorn.threads() <= threads + THREADS)


@pytest.mark.parametrize(("attribute", "prefix"), [("universal", ""), ("mounted", "/boats")])
def test_a_router_passes_them_on_too(servers: Servers, attribute: str, prefix: str) -> None:
    server = servers.get("uvicorn-uvloop", f"tests.apps.wsgi_sock:{attribute}", env={})
    with socket_to(server, f"{prefix}/about") as socket:
        words = [socket.recv(PATIENCE_S) for _ in range(2)]
    assert words[1] == f"{server.url}{prefix}/about"


def test_the_apps_own_pings_are_answered(servers: Servers) -> None:
    server = servers.get("uvicorn-uvloop", "tests.apps.wsgi_sock:mounted", env={})
    begun = time.monotonic()
    with socket_to(server, "/pinging/echo") as socket:
        while time.monotonic() < begun + 2.5 * PING_INTERVAL_S:  # past the end of an unanswered one
            socket.send("Ahoy")
            assert socket.recv(PATIENCE_S) == "Ahoy"


@pytest.mark.parametrize(
    "name",  # not hypercorn: from Python 3.12 on it waits for every open WebSocket, of any app
    [
        "uvicorn-uvloop",
        *(pytest.param(each, marks=pytest.mark.full) for each in ("granian", "gunicorn-asgi")),
    ],
)
def test_open_sockets_do_not_hold_up_the_end(name: str, tmp_path: Path, control: Control) -> None:
    grace = SERVERS_BY_NAME[name].grace(2)
    target = "tests.apps.wsgi_sock:app"
    with serve(name, target, args=grace, log_dir=tmp_path) as server, ExitStack() as opened:
        for _ in range(2):
            socket = opened.enter_context(socket_to(server, "/echo"))
            socket.send("Ahoy")
            assert socket.recv(PATIENCE_S) == "Ahoy"
        server.terminate()  # fails if it takes 20 s


def seen(server: Server, key: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/seen/{key}", timeout=PATIENCE_S).json()
    return found


def wait_for_room(server: Server, opened: ExitStack) -> ClientConnection:
    """A WebSocket, once those of other tests have ended on the server's side."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return opened.enter_context(socket_to(server, "/echo"))
        except InvalidStatus:
            assert time.monotonic() < deadline, "never any room"
            time.sleep(0.02)  # polling, with a deadline


def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(PATIENCE_S)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not true after {PATIENCE_S} s"
        time.sleep(0.02)  # polling, with a deadline: another process has no event for this one


def stands_still(count: Callable[[], int]) -> int:
    """The count once it has not changed for a second."""
    last, since = count(), time.monotonic()
    deadline = since + PATIENCE_S
    while time.monotonic() - since < 1:
        assert time.monotonic() < deadline, f"still going on at {last}"
        time.sleep(0.02)
        now = count()
        if now != last:
            last, since = now, time.monotonic()
    return last


def settled(count: Callable[[], int]) -> int:
    """The least count within a second."""
    least = count()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        time.sleep(0.02)
        least = min(least, count())
    return least

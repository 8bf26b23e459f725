"""P16: flask-sock runs unmodified on ASGI servers.

Seen at flask-sock #58: under an ASGI server the environ has no socket, and every WebSocket fails.
"""

from __future__ import annotations

import signal
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

TIMEOUT_S = 30.0
SERVERS = [
    "uvicorn-uvloop",
    *(
        pytest.param(name, marks=pytest.mark.full)
        for name in ("uvicorn-h11", "hypercorn", "daphne", "granian", "gunicorn-asgi")
    ),
]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Server]:
    """The flask-sock app on each server."""
    yield servers.get(request.param, "tests.apps.wsgi_sock:app", env={})
    assert servers.pop_dead() == []


@pytest.fixture
def uvicorn(servers: Servers) -> Server:
    """The flask-sock app on uvicorn."""
    return servers.get("uvicorn-uvloop", "tests.apps.wsgi_sock:app", env={})


@contextmanager
def open_socket(server: Server, path: str, **options: Any) -> Iterator[ClientConnection]:
    """Open a WebSocket for the block."""
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, open_timeout=TIMEOUT_S, compression=None, **options) as socket:
        yield socket


def test_text_and_bytes_are_echoed(server: Server) -> None:
    with open_socket(server, "/echo") as socket:
        for message in ("Ahoy", b"\x00\xff", "⚓" * 50_000, bytes(300_000)):
            socket.send(message)
            assert socket.recv(TIMEOUT_S) == message


def test_a_fragmented_message_is_one_message(server: Server) -> None:
    with open_socket(server, "/echo") as socket:
        socket.send(iter(["Ah", "oy", " ⚓"]))
        assert socket.recv(TIMEOUT_S) == "Ahoy ⚓"


def test_the_app_gets_the_handshake(server: Server) -> None:
    options = {"subprotocols": ["chat.v1", "chat.v2"], "additional_headers": {"X-Boat": "Heron"}}
    with open_socket(server, "/about?a=1", **options) as socket:
        messages = [socket.recv(TIMEOUT_S) for _ in range(4)]
    assert socket.subprotocol == "chat.v2"
    assert messages[:3] == ["chat.v2", f"{server.url}/about?a=1", "Heron"]
    assert str(messages[3]).startswith("bridge-websocket-")


def test_the_close_code_of_the_app_reaches_the_client(server: Server) -> None:
    with open_socket(server, "/close/4321") as socket:
        assert socket.recv(TIMEOUT_S) == "last message"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(TIMEOUT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4321


def test_the_close_code_of_the_client_reaches_the_app(uvicorn: Server, key: str) -> None:
    with open_socket(uvicorn, f"/echo?key={key}") as socket:
        socket.close(4000, "done")
    wait_until(lambda: seen(uvicorn, key)["end"] == "closed with 4000 done")


def test_a_broken_connection_ends_the_app(server: Server, key: str) -> None:
    with open_socket(server, f"/echo?key={key}") as socket:
        socket.send("hello")
        assert socket.recv(TIMEOUT_S) == "hello"
        socket.socket.shutdown(SHUT_RDWR)
    wait_until(lambda: seen(server, key)["end"].startswith("closed with"))


def test_the_return_of_the_app_closes_with_1000(server: Server) -> None:
    with open_socket(server, "/about") as socket, pytest.raises(ConnectionClosed) as closed:
        read_to_end(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def test_an_exception_closes_with_1011_and_is_logged_once(uvicorn: Server, key: str) -> None:
    with open_socket(uvicorn, f"/broken?key={key}") as socket:
        assert socket.recv(TIMEOUT_S) == "before"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(TIMEOUT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    failure = f"RuntimeError: the mast broke, {key}"
    assert uvicorn.wait_for_log(failure).count(failure) == 1


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/members-only", 403)])
def test_an_http_response_refuses_the_websocket(uvicorn: Server, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(uvicorn, path):
        pass
    assert refused.value.response.status_code == status


def test_a_websocket_beyond_the_limit_is_refused_and_http_is_served(uvicorn: Server) -> None:
    with ExitStack() as opened:
        for _ in range(THREADS):
            open_when_free(uvicorn, opened)
        with pytest.raises(InvalidStatus) as refused, open_socket(uvicorn, "/echo"):
            pass
        assert refused.value.response.status_code == 503
        assert httpx.get(uvicorn.url, timeout=TIMEOUT_S).text.startswith("bridge-worker-")
    with ExitStack() as opened:
        open_when_free(uvicorn, opened)


def test_a_stalled_client_pauses_the_app_without_buffering(uvicorn: Server, key: str) -> None:
    rss = uvicorn.rss_bytes()
    with open_socket(uvicorn, f"/flood?key={key}", max_queue=1, max_size=None) as socket:
        wait_until(lambda: seen(uvicorn, key)["sent"] > 0)
        stalled = wait_until_stable(lambda: int(seen(uvicorn, key)["sent"]))
        assert stalled < FLOOD // 2
        assert uvicorn.rss_bytes() - rss < FLOOD // 2 * MIB
        for _ in range(FLOOD):
            assert len(socket.recv(TIMEOUT_S)) == MIB
    wait_until(lambda: seen(uvicorn, key)["sent"] == FLOOD)


def test_closed_websockets_leave_no_descriptors_and_threads(uvicorn: Server) -> None:
    with ExitStack() as opened:
        open_when_free(uvicorn, opened)
    wait_until(lambda: uvicorn.threads() <= 64)
    fds, threads = minimum(uvicorn.fds), minimum(uvicorn.threads)
    for _ in range(25):
        with ExitStack() as opened:
            open_when_free(uvicorn, opened).send("Ahoy")
    wait_until(lambda: uvicorn.fds() <= fds + 3)
    wait_until(lambda: uvicorn.threads() <= threads + THREADS)


@pytest.mark.parametrize(("attribute", "prefix"), [("universal", ""), ("mounted", "/boats")])
def test_websockets_reach_the_app_through_a_router(
    servers: Servers, attribute: str, prefix: str
) -> None:
    server = servers.get("uvicorn-uvloop", f"tests.apps.wsgi_sock:{attribute}", env={})
    with open_socket(server, f"{prefix}/about") as socket:
        messages = [socket.recv(TIMEOUT_S) for _ in range(2)]
    assert messages[1] == f"{server.url}{prefix}/about"


def test_pings_of_the_app_are_answered(servers: Servers) -> None:
    server = servers.get("uvicorn-uvloop", "tests.apps.wsgi_sock:mounted", env={})
    started = time.monotonic()
    with open_socket(server, "/pinging/echo") as socket:
        while (
            time.monotonic() < started + 2.5 * PING_INTERVAL_S
        ):  # longer than an unanswered ping is allowed
            socket.send("Ahoy")
            assert socket.recv(TIMEOUT_S) == "Ahoy"


@pytest.mark.parametrize(
    "name",  # not hypercorn: on Python 3.12 and later it waits for every open WebSocket
    [
        "uvicorn-uvloop",
        *(pytest.param(each, marks=pytest.mark.full) for each in ("granian", "gunicorn-asgi")),
    ],
)
def test_open_websockets_do_not_delay_the_shutdown(
    name: str, tmp_path: Path, control: Control
) -> None:
    grace = SERVERS_BY_NAME[name].grace(2)
    target = "tests.apps.wsgi_sock:app"
    with serve(name, target, args=grace, log_dir=tmp_path) as server, ExitStack() as opened:
        for _ in range(2):
            socket = opened.enter_context(open_socket(server, "/echo"))
            socket.send("Ahoy")
            assert socket.recv(TIMEOUT_S) == "Ahoy"
        server.terminate()  # fails if it takes 20 s


def test_the_end_of_the_server_closes_with_1012(tmp_path: Path, key: str) -> None:
    """uvicorn's code, as under `to_wsgi`. Other servers have none, or 1011."""
    target, log = "tests.apps.wsgi_sock:app", f"closed {key} with 1012"
    with serve("uvicorn-uvloop", target, log_dir=tmp_path) as server:
        with open_socket(server, f"/echo?key={key}") as socket:
            socket.send("Ahoy")
            assert socket.recv(TIMEOUT_S) == "Ahoy"
            server.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(TIMEOUT_S)
        server.wait_for_log(log)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def seen(server: Server, key: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/seen/{key}", timeout=TIMEOUT_S).json()
    return found


def open_when_free(server: Server, opened: ExitStack) -> ClientConnection:
    """Open a WebSocket as soon as the server has ended those of other tests."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return opened.enter_context(open_socket(server, "/echo"))
        except InvalidStatus:
            assert time.monotonic() < deadline, "no WebSocket slot became free"
            time.sleep(0.02)  # poll with a deadline


def read_to_end(socket: ClientConnection) -> None:
    while True:
        socket.recv(TIMEOUT_S)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"the condition is still false after {TIMEOUT_S} s"
        time.sleep(0.02)  # poll with a deadline: the other process sends no event


def wait_until_stable(count: Callable[[], int]) -> int:
    """The count when it has not changed for a second."""
    last, since = count(), time.monotonic()
    deadline = since + TIMEOUT_S
    while time.monotonic() - since < 1:
        assert time.monotonic() < deadline, f"the count still changes at {last}"
        time.sleep(0.02)
        now = count()
        if now != last:
            last, since = now, time.monotonic()
    return last


def minimum(count: Callable[[], int]) -> int:
    """The minimum of the count within a second."""
    lowest = count()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        time.sleep(0.02)
        lowest = min(lowest, count())
    return lowest

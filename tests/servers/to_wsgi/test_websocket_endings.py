"""How WebSockets end when the worker of a WSGI server does: clients get 1012, and reconnect."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.harness.control import Control
from tests.harness.http import Http1Client, Stream
from tests.harness.servers import SERVERS, Server, ServerSpec, _gunicorn, serve

TARGET = "tests.apps.asgi_websockets:app"
TIMEOUT_S = 30.0
RESTART = 1012
REFUSES_THREADS_AT_EXIT = sys.version_info[:3] in ((3, 12, 0), (3, 12, 1))
"""As soon as the interpreter ends (python/cpython#113964)."""
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

GEVENT = replace(
    SERVERS["gunicorn-gthread"], name="gunicorn-gevent", command=_gunicorn("-k", "gevent")
)
WORKERS: dict[str, ServerSpec] = {
    "gthread": SERVERS["gunicorn-gthread"],
    "sync": SERVERS["gunicorn-sync"],
    "gevent": GEVENT,
}


@contextmanager
def websocket(server: Server, path: str) -> Iterator[ClientConnection]:
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, open_timeout=TIMEOUT_S, compression=None) as client:
        yield client


def close_code(client: ClientConnection) -> int:
    """The code with which the server closes the WebSocket; 1006 if it sends none."""
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(TIMEOUT_S)
    return closed.value.rcvd.code if closed.value.rcvd is not None else 1006


def status_of(server: Server, path: str) -> int:
    try:
        with websocket(server, path) as client:
            client.send("a")
            assert client.recv(TIMEOUT_S) == "a"
            return 101
    except InvalidStatus as refused:
        return int(refused.response.status_code)


def reconnect(server: Server) -> None:
    """Connect as a client does: again, if the worker that ends has accepted the connection."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            assert status_of(server, "/echo") == 101
        except (InvalidMessage, OSError):
            assert time.monotonic() < deadline
        else:
            return


def worker_of(server: Server) -> int:
    """The process that serves. The server closes the connection, not the client.

    gunicorn submits a connection that the client has closed to its executor, and SIGINT or SIGQUIT
    at this moment make it wait for a lock that it holds (27.0, ``ThreadWorker.handle_quit``).
    """
    close = [("connection", "close")]
    return int(Http1Client(server.port).fetch("GET", "/", close).body.split()[1])


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGABRT"])
def test_each_signal_closes_with_1012(worker: str, name: str, control: Control, key: str) -> None:
    """SIGABRT is what gunicorn sends to a worker that takes too long."""
    # With gevent, threads of an app are greenlets, which do not run at the end.
    has_threads = worker != "gevent" and not REFUSES_THREADS_AT_EXIT
    env = {"BRIDGE_TEST_LIFESPAN": key} if has_threads else {}
    path = f"/echo?key={key}" if has_threads else "/echo"
    with (
        serve(WORKERS[worker], TARGET, env=env) as server,
        websocket(server, path) as first,
        websocket(server, path) as second,
    ):
        number = signal.Signals[name]
        os.kill(worker_of(server) if name == "SIGABRT" else server.pid, number)

        assert [close_code(first), close_code(second)] == [RESTART, RESTART]
        if has_threads:
            assert {end["code"] for end in control.expect(key, "end", 2)} == {RESTART}
            control.expect(key, "shutdown")
        if name in ("SIGHUP", "SIGABRT"):
            reconnect(server)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_preloaded_app_closes_with_1012(worker: str) -> None:
    with (
        serve(WORKERS[worker], TARGET, args=["--preload"]) as server,
        websocket(server, "/echo") as client,
    ):
        server.signal(signal.SIGTERM)
        assert close_code(client) == RESTART


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_that_has_served_its_requests_closes_with_1012(worker: str) -> None:
    with serve(WORKERS[worker], TARGET, args=["--max-requests", "3"]) as server:
        with websocket(server, "/echo") as client:
            client.send("a")
            assert client.recv(TIMEOUT_S) == "a"
            before = worker_of(server)  # the third
            assert close_code(client) == RESTART
        assert worker_of(server) != before


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT"])
def test_half_a_head_does_not_keep_an_app_from_its_end(
    name: str, control: Control, key: str
) -> None:
    """gunicorn kills the worker, whose thread waits for the rest, after the graceful timeout."""
    args = ["--graceful-timeout", "10"]
    env = {"BRIDGE_TEST_LIFESPAN": key}
    with (
        serve(WORKERS["gthread"], TARGET, args=args, env=env) as server,
        websocket(server, "/echo") as client,
        closing(Stream(server.port)) as stream,
    ):
        stream.send(HANDSHAKE[:20])
        worker_of(server)  # so a thread waits for the rest
        server.signal(signal.Signals[name])

        assert close_code(client) == RESTART
        if not REFUSES_THREADS_AT_EXIT:
            control.expect(key, "shutdown")


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT"])
def test_a_hanging_app_is_shut_down_before_gunicorn_kills_its_worker(
    name: str, control: Control, key: str
) -> None:
    args = ["--graceful-timeout", "6", "--config", "python:bridge.contrib.gunicorn"]
    env = {"BRIDGE_TEST_LIFESPAN": key}
    with (
        serve(WORKERS["gthread"], TARGET, args=args, env=env) as server,
        websocket(server, "/hang") as client,
    ):
        server.signal(signal.Signals[name])

        assert close_code(client) == RESTART
        control.expect(key, "shutdown")


def test_a_killed_worker_is_1006_and_the_client_reconnects() -> None:
    with serve(WORKERS["gthread"], TARGET) as server:
        with websocket(server, "/echo") as client:
            os.kill(worker_of(server), signal.SIGKILL)
            assert close_code(client) == 1006
        reconnect(server)


def test_an_app_that_ignores_the_end_does_not_keep_the_worker() -> None:
    env = {"BRIDGE_TEST_OPTIONS": '{"shutdown_timeout_s": 1}'}
    with serve(WORKERS["gthread"], TARGET, env=env) as server, websocket(server, "/hang") as client:
        server.signal(signal.SIGTERM)

        assert close_code(client) == RESTART
        assert server.terminate().exit_code == 0


def test_above_the_limit_of_descriptors_the_answer_is_503() -> None:
    """The same worker goes on: without a limit, gunicorn's gthread worker exits at EMFILE."""
    limited = replace(WORKERS["gthread"], command=_limited_to(150))
    with serve(limited, TARGET) as server, ExitStack() as stack:
        before = worker_of(server)
        clients = [stack.enter_context(websocket(server, "/echo")) for _ in range(150 // 4)]
        with pytest.raises(InvalidStatus) as refused, websocket(server, "/echo"):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        clients[0].close()
        while status_of(server, "/echo") == 503:  # until the server has noticed
            pass
        assert worker_of(server) == before


def _limited_to(count: int) -> Any:
    gthread = WORKERS["gthread"].command

    def command(at: Any, target: str) -> list[str]:
        return ["tests.harness.limited", str(count), *gthread(at, target)]

    return command


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_hub_of_gevent_does_not_watch_a_connection_that_is_taken_over() -> None:
    """It would be woken for each message of the client."""
    with serve(GEVENT, TARGET) as server, closing(Stream(server.port)) as stream:
        stream.send(HANDSHAKE[:20])
        worker_of(server)  # so the worker waits for the rest
        stream.send(HANDSHAKE[20:])
        stream.until(b"\r\n\r\n")
        (pid,) = server.serving_pids()
        watched = [inode for number in epolls(pid) for inode in watched_sockets(pid, number)]

    assert len(watched) == len(set(watched))


def epolls(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    links = ((each.name, os.readlink(each)) for each in folder.iterdir())
    return [name for name, link in links if "eventpoll" in link]


def watched_sockets(pid: int, number: str) -> list[str]:
    """The inodes that an epoll set watches, of sockets: eventfds share one inode."""
    info = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
    inodes = {str(int(each, 16)) for each in re.findall(r"\bino:([0-9a-f]+)", info)}
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return [inode for inode in inodes if f"socket:[{inode}]" in links]

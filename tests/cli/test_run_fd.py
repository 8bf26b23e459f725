"""`bridge run --fd` serves on a socket that others hold open: no client notices a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import APPS, MULTI, SERVERS, TARGETS, TIMEOUT_S, bridge
from tests.harness.activated import activated
from tests.harness.ports import HOST, held_port, port_of
from tests.harness.tools import find_program

RESTARTS = 2
CLIENTS = 4
QUIET = ("--log-level", "warning")


def _listen(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(128)
    return listener


def _ask(family: socket.AddressFamily, address: Any) -> bytes:
    """The whole response to one request, on a connection of its own."""
    with closing(socket.socket(family, socket.SOCK_STREAM)) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while data := client.recv(65536):
            received += data
        return received


def _facts(response: bytes) -> dict[str, Any]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), response
    if b"chunked" in head.lower():
        body = body.split(b"\r\n")[1]
    reported: dict[str, Any] = json.loads(body)
    return reported


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_runs_on_a_tcp_socket_that_it_inherits(server: str) -> None:
    """Of IPv6, as systemd's are by default; the restarts below are on IPv4."""
    with closing(_listen(socket.AF_INET6, ("::1", 0))) as listener:
        address = listener.getsockname()
        with activated(listener, TARGETS["flask"], "--server", server, cwd=APPS) as service:
            assert _facts(_ask(socket.AF_INET6, address))["framework"] == "flask"
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert f"bridge: URL: http://[::1]:{address[1]}/\n" in service.stop()


@pytest.mark.parametrize("server", [each for each in SERVERS if each != "daphne"])
def test_an_inherited_unix_socket_remains_with_its_mode(server: str, tmp_path: Path) -> None:
    path = tmp_path / "site.sock"
    with closing(_listen(socket.AF_UNIX, str(path))) as listener:
        path.chmod(0o600)
        with activated(listener, TARGETS["flask"], "--server", server, cwd=APPS) as service:
            _facts(_ask(socket.AF_UNIX, str(path)))
            assert f"bridge: URL: unix:{path}\n" in service.stop()
            assert path.stat().st_mode & 0o777 == 0o600
            service.start()
            _facts(_ask(socket.AF_UNIX, str(path)))


@pytest.mark.parametrize("server", MULTI)
def test_two_workers_share_an_inherited_socket(server: str) -> None:
    with closing(_listen(socket.AF_INET, (HOST, 0))) as listener:
        address = listener.getsockname()
        command = (TARGETS["flask"], "--server", server, "--workers", "2")
        with activated(listener, *command, cwd=APPS) as service:
            pids = {_facts(_ask(socket.AF_INET, address))["pid"] for _ in range(3)}
            assert service.pid not in pids
            service.stop()


@pytest.mark.parametrize("server", SERVERS)
def test_no_request_is_lost_at_a_restart(server: str) -> None:
    """Clients connect and send all the time; none is refused, and none is cut off."""
    with closing(_listen(socket.AF_INET, (HOST, 0))) as listener:
        address = listener.getsockname()
        command = (TARGETS["flask"], "--server", server, *QUIET)
        with activated(listener, *command, cwd=APPS) as service, _clients(address) as outcomes:
            for _ in range(RESTARTS):
                _wait_for_more(outcomes)
                service.stop()
                service.start()
            _wait_for_more(outcomes)
    assert set(outcomes) == {"200"}


@contextmanager
def _clients(address: Any) -> Iterator[Counter[str]]:
    """What became of each request, counted by status or error; complete after the block."""
    outcomes: Counter[str] = Counter()
    is_over = threading.Event()

    def send_requests() -> None:
        while not is_over.is_set():
            try:
                response = _ask(socket.AF_INET, address)
                outcomes[response[9:12].decode() or "no response"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1

    threads = [threading.Thread(target=send_requests) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        is_over.set()
        for thread in threads:
            thread.join(TIMEOUT_S)


def _wait_for_more(outcomes: Counter[str]) -> None:
    """Wait until each client has certainly got another response."""
    enough = outcomes.total() + 20 * CLIENTS
    changed = threading.Event()
    for _ in range(int(TIMEOUT_S * 50)):
        if outcomes.total() >= enough:
            return
        changed.wait(0.02)  # polling, with a deadline: the counts have no event to wait for
    raise AssertionError(f"no responses within {TIMEOUT_S} s: {outcomes}")


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_systemds_activator_starts_the_service_with_the_first_connection(server: str) -> None:
    activator = find_program("systemd-socket-activate", package="systemd")
    with held_port() as holder:
        port = port_of(holder)
    command = [sys.executable, "-m", "bridge", "run", TARGETS["flask"], "--server", server]
    process = subprocess.Popen(
        [activator, "--listen", f"{HOST}:{port}", *_passed("PYTHONPATH"), *command, "--fd", "3"],
        cwd=APPS,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        while "Listening on" not in process.stderr.readline():
            assert process.poll() is None
        assert _facts(_ask(socket.AF_INET, (HOST, port)))["pid"]
        process.terminate()
        _, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    assert process.returncode == 0, err
    assert f"bridge: URL: http://{HOST}:{port}/\n" in err
    assert "ignores variables" not in err


def _passed(name: str) -> list[str]:
    """The activator passes nothing on by itself."""
    root = str(Path(__file__).parents[2])
    return ["--setenv", f"{name}={root}"]


# -- errors ----------------------------------------------------------------------------------------


def _error(*args: str, code: int) -> str:
    done = bridge("run", TARGETS["flask"], *args)
    assert (done.code, done.out) == (code, ""), done.err
    return done.err.strip()


def test_a_number_that_is_no_open_descriptor_is_refused() -> None:
    assert _error("--fd", "99", code=1) == (
        "bridge: --fd 99: no open descriptor has this number. The first socket of systemd is 3, "
        "if the socket unit is active and belongs to this service"
    )


def test_a_file_is_refused() -> None:
    assert _error("--fd", "1", code=1).endswith("--fd 1: this descriptor is not a socket")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (socket.SOCK_STREAM, "the socket does not listen. With systemd, set Accept=no in the"),
        (socket.SOCK_DGRAM, "the socket is not for TCP or Unix connections (ListenStream= in"),
    ],
)
def test_a_socket_that_accepts_no_connections_is_refused(
    kind: socket.SocketKind, reason: str
) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as unusable:
        unusable.bind((HOST, 0))
        with activated(unusable, TARGETS["flask"], cwd=APPS) as service:
            assert service.wait() == 1
            assert reason in service.error()


def test_fd_and_uds_are_refused_together() -> None:
    assert _error("--fd", "3", "--uds", "site.sock", code=2) == (
        "bridge: --fd and --uds cannot be combined: each is an address to listen on"
    )


def test_daphne_refuses_a_unix_socket_that_it_would_remove(tmp_path: Path) -> None:
    with closing(_listen(socket.AF_UNIX, str(tmp_path / "site.sock"))) as listener:
        command = (TARGETS["flask"], "--server", "daphne")
        with activated(listener, *command, cwd=APPS) as service:
            assert service.wait() == 2
            assert "--fd of a Unix socket: daphne does not support it" in service.error()
    assert (tmp_path / "site.sock").exists()

"""`bridge run --fd` serves on a socket that others hold open: no client notices a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import APPS, MULTI, SERVERS, TARGETS, TIMEOUT_S, bridge
from tests.conftest import in_full
from tests.harness.activated import activated
from tests.harness.ports import HOST, held_port, port_of
from tests.harness.steady import CLIENTS, ask, steady_clients, wait_for_more
from tests.harness.tools import find_program

RESTARTS = 2
QUIET = ("--log-level", "warning")


def _listen(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(128)
    return listener


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
            assert _facts(ask(socket.AF_INET6, address))["framework"] == "flask"
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert f"bridge: URL: http://[::1]:{address[1]}/\n" in service.stop()


@pytest.mark.parametrize("server", [each for each in SERVERS if each != "daphne"])
def test_an_inherited_unix_socket_remains_with_its_mode(server: str, tmp_path: Path) -> None:
    path = tmp_path / "site.sock"
    with closing(_listen(socket.AF_UNIX, str(path))) as listener:
        path.chmod(0o600)
        with activated(listener, TARGETS["flask"], "--server", server, cwd=APPS) as service:
            _facts(ask(socket.AF_UNIX, str(path)))
            assert f"bridge: URL: unix:{path}\n" in service.stop()
            assert path.stat().st_mode & 0o777 == 0o600
            service.start()
            _facts(ask(socket.AF_UNIX, str(path)))


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are of Linux")
@pytest.mark.parametrize(
    "server", ["uvicorn", *in_full("granian", "hypercorn", "gunicorn", "waitress")]
)
def test_a_server_runs_on_an_abstract_socket_that_it_inherits(server: str) -> None:
    """As systemd's ``ListenStream=@site``. It has a name, and no file."""
    name = f"bridge-test-{os.getpid()}-{server}"
    with (
        closing(_listen(socket.AF_UNIX, f"\0{name}")) as listener,
        activated(listener, TARGETS["flask"], "--server", server, cwd=APPS) as service,
    ):
        assert _facts(ask(socket.AF_UNIX, f"\0{name}"))["framework"] == "flask"
        assert f"bridge: URL: unix:@{name}\n" in service.stop()


@pytest.mark.parametrize("server", MULTI)
def test_two_workers_share_an_inherited_socket(server: str) -> None:
    with closing(_listen(socket.AF_INET, (HOST, 0))) as listener:
        address = listener.getsockname()
        command = (TARGETS["flask"], "--server", server, "--workers", "2")
        with activated(listener, *command, cwd=APPS) as service:
            pids = {_facts(ask(socket.AF_INET, address))["pid"] for _ in range(3)}
            assert service.pid not in pids
            service.stop()


@pytest.mark.parametrize("server", [each for each in SERVERS if each != "granian"])
def test_no_request_is_lost_at_a_restart(server: str) -> None:
    """Clients connect and send all the time; none is refused, and none is cut off."""
    assert set(_restarted(server)) == {"200"}


def test_granian_loses_only_requests_that_it_has_not_read_at_the_signal() -> None:
    """It closes their connections, which it has accepted: at most one of each client."""
    outcomes = _restarted("granian")

    unread = {"no response", "ConnectionResetError", "BrokenPipeError"}
    assert set(outcomes) - unread == {"200"}
    assert sum(outcomes[each] for each in unread) <= CLIENTS * RESTARTS


def _restarted(server: str) -> Counter[str]:
    """What becomes of the requests of steady clients while the server restarts."""
    with closing(_listen(socket.AF_INET, (HOST, 0))) as listener:
        address = listener.getsockname()
        command = (TARGETS["flask"], "--server", server, *QUIET)
        with (
            activated(listener, *command, cwd=APPS) as service,
            steady_clients(address) as outcomes,
        ):
            for _ in range(RESTARTS):
                wait_for_more(outcomes)
                service.stop()
                service.start()
            wait_for_more(outcomes)
    return outcomes


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
        assert _facts(ask(socket.AF_INET, (HOST, port)))["pid"]
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

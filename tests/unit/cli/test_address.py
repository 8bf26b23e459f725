"""The check for a free address, with real sockets."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli.address import AddressError, free_path, free_port, url_of


def test_a_free_port_is_returned_and_stays_free() -> None:
    port = free_port("127.0.0.1", 0)
    assert port > 0
    assert free_port("127.0.0.1", port) == port
    assert free_port("localhost", port) == port


def test_a_port_with_a_listener_is_in_use() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with closing(taken), pytest.raises(AddressError, match="the port is in use"):
        free_port("127.0.0.1", taken.getsockname()[1])


def test_a_port_with_reuse_port_is_in_use() -> None:
    """Otherwise granian and hypercorn would share the port, each with some of the requests."""
    taken = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    with closing(taken), pytest.raises(AddressError, match="the port is in use"):
        free_port("127.0.0.1", taken.getsockname()[1])


def test_a_port_with_connections_in_time_wait_is_free() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
    served.close()  # first: this end keeps the port in TIME_WAIT
    client.close()
    assert free_port("127.0.0.1", port) == port


def test_a_stale_unix_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(str(path))
    free_path(path)
    assert not path.exists()


def test_a_served_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as served:
        served.bind(str(path))
        served.listen()
        with pytest.raises(AddressError, match="the socket is in use"):
            free_path(path)
    assert path.exists()


def test_checking_a_path_leaves_no_file_behind(tmp_path: Path) -> None:
    free_path(tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_a_path_too_long_for_a_unix_socket_is_rejected(tmp_path: Path) -> None:
    """On Linux the limit is 108 bytes."""
    with pytest.raises(AddressError, match=r"^--uds /.*/s{150}: AF_UNIX path too long$"):
        free_path(tmp_path / ("s" * 150))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/"),
        ("0.0.0.0", "http://127.0.0.1:80/"),
        ("::", "http://[::1]:80/"),
        ("::1", "http://[::1]:80/"),
        ("localhost", "http://localhost:80/"),
    ],
)
def test_the_url_can_be_opened_in_a_browser(host: str, url: str) -> None:
    assert url_of(host, 80, None, "") == url


def test_the_url_includes_the_root_path_and_for_a_socket_its_path() -> None:
    assert url_of("127.0.0.1", 80, None, "/shop") == "http://127.0.0.1:80/shop/"
    assert url_of("127.0.0.1", 80, Path("/run/s"), "/shop") == "unix:/run/s"

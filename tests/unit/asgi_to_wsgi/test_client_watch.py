"""Detecting a disconnect by what servers put into an environ."""

from __future__ import annotations

import errno
import importlib.util
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bridge.asgi_to_wsgi.client_watch import client_disconnected, watch_client
from bridge.types import Environ

TIMEOUT_S = 60


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection: the client's socket and the server's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield client, server


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_an_open_connection_is_not_a_disconnect(
    connection: tuple[socket.socket, socket.socket], key: str
) -> None:
    client, server = connection
    watch = watch_client({key: server})

    assert watch is not None
    assert not watch.has_disconnected()
    client.sendall(b"the next request")
    assert not watch.has_disconnected()


def test_a_closed_connection_is_a_disconnect_even_with_unread_data(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, server = connection
    client.sendall(b"the next request")
    client.close()
    watch = watch_client({"gunicorn.socket": server})

    assert watch is not None
    assert watch.has_disconnected()
    assert watch.has_disconnected(), "polling must not consume data"
    assert server.recv(100) == b"the next request"


def test_a_reset_connection_is_a_disconnect(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, server = connection
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    watch = watch_client({"gunicorn.socket": server})

    assert watch is not None
    assert watch.has_disconnected()


@pytest.mark.parametrize("environ", [{}, {"gunicorn.socket": None}])
def test_without_a_socket_there_is_no_watch(environ: Environ) -> None:
    assert watch_client(environ) is None


UNDER_GEVENT = """
{}
import socket
from bridge.asgi_to_wsgi.client_watch import watch_client
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
watch = watch_client({{"gunicorn.socket": server}})
before = watch.has_disconnected()
client.close()
while not watch.has_disconnected():  # the loopback delivers the FIN with a delay
    pass
print(before, "ended")
"""
PATCH = "from gevent import monkey; monkey.patch_all()"


@pytest.mark.parametrize("begin", [PATCH, f"import bridge.asgi_to_wsgi.client_watch; {PATCH}"])
def test_under_gevent_the_poll_of_the_operating_system_is_used(begin: str) -> None:
    """gevent's ``poll`` does not report a peer that has closed its side."""
    if importlib.util.find_spec("gevent") is None:  # not imported: it would warn at every fork
        pytest.skip("gevent is not installed")
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT.format(begin)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )

    assert ran.stdout == "False ended\n", ran.stderr


def test_waitress_provides_the_watch_and_the_error() -> None:
    from waitress.channel import ClientDisconnected  # type: ignore[import-untyped]  # no stubs

    disconnected = [False]
    watch = watch_client({"waitress.client_disconnected": lambda: disconnected[0]})

    assert watch is not None
    assert not watch.has_disconnected()
    disconnected[0] = True
    assert watch.has_disconnected()
    assert isinstance(watch.make_error(), ClientDisconnected)


def test_the_error_is_a_connection_reset() -> None:
    assert isinstance(client_disconnected(), ConnectionError)
    assert client_disconnected().errno == errno.ECONNRESET

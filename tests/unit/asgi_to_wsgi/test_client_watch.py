"""Whether a client has left, from what servers put into an environ."""

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
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's and the server's end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield client, server


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_client_that_stays_has_not_left(
    ends: tuple[socket.socket, socket.socket], key: str
) -> None:
    client, server = ends
    watch = watch_client({key: server})

    assert watch is not None
    assert not watch.has_disconnected()
    client.sendall(b"the next request")
    assert not watch.has_disconnected()


def test_a_client_that_closes_has_left_though_it_has_sent_more(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, server = ends
    client.sendall(b"the next request")
    client.close()
    watch = watch_client({"gunicorn.socket": server})

    assert watch is not None
    assert watch.has_disconnected()
    assert watch.has_disconnected(), "looking takes nothing away"
    assert server.recv(100) == b"the next request"


def test_a_client_that_resets_has_left(ends: tuple[socket.socket, socket.socket]) -> None:
    client, server = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    watch = watch_client({"gunicorn.socket": server})

    assert watch is not None
    assert watch.has_disconnected()


@pytest.mark.parametrize("environ", [{}, {"gunicorn.socket": None}])
def test_most_servers_give_no_way_to_look(environ: Environ) -> None:
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
while not watch.has_disconnected():  # loopback takes a moment
    pass
print(before, "ended")
"""
PATCH = "from gevent import monkey; monkey.patch_all()"


@pytest.mark.parametrize("begin", [PATCH, f"import bridge.asgi_to_wsgi.client_watch; {PATCH}"])
def test_under_gevent_the_look_is_the_systems(begin: str) -> None:
    """gevent's own ``poll`` knows nothing of a peer that has closed its side."""
    if importlib.util.find_spec("gevent") is None:  # not imported: it would warn at every fork
        pytest.skip("gevent is not installed")
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT.format(begin)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )

    assert ran.stdout == "False ended\n", ran.stderr


def test_waitress_is_asked_and_told_in_its_own_words() -> None:
    from waitress.channel import ClientDisconnected  # type: ignore[import-untyped]  # no stubs

    left = [False]
    watch = watch_client({"waitress.client_disconnected": lambda: left[0]})

    assert watch is not None
    assert not watch.has_disconnected()
    left[0] = True
    assert watch.has_disconnected()
    assert isinstance(watch.make_error(), ClientDisconnected)


def test_the_error_is_a_connection_reset() -> None:
    assert isinstance(client_disconnected(), ConnectionError)
    assert client_disconnected().errno == errno.ECONNRESET

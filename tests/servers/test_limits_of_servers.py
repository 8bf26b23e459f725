"""What servers do with a head or a body that is too long, as the page of limits has it.

The servers answer before they call the app: a limit of theirs is the same without bridge.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.conftest import LiveServer, Servers
from tests.docs.blocks import ROOT
from tests.docs.tables import tables_of
from tests.harness.ports import HOST
from tests.harness.servers import SERVERS

pytestmark = pytest.mark.full

CLOSED = "connection closed"
TABLES = tables_of((ROOT / "docs" / "reference" / "limits.md").read_text("utf-8"))
TIMEOUT_S = 30.0

TOO_LONG_A_FIELD = {
    "uvicorn-h11": (300_000, "400"),
    "granian": (900_000, "431"),
    "hypercorn": (300_000, "431"),
    "daphne": (17_000, CLOSED),
    "gunicorn-gthread": (9_000, "431"),
    "waitress": (270_000, "431"),
}
"""The size of a header value, and what is sent in answer to it."""

TOO_MANY_FIELDS = {
    "granian": (101, "431"),
    "daphne": (501, "400"),
    "gunicorn-gthread": (101, "431"),
}
TOO_LONG_A_LINE = {"granian": (66_000, "414"), "gunicorn-gthread": (4_200, "414")}


@pytest.fixture(params=list(TOO_LONG_A_FIELD))
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    app = "app" if SERVERS[request.param].kind == "asgi" else "wsgi_app"
    yield LiveServer.of(servers.get(request.param, f"tests.apps.echoing:{app}"))
    servers.pop_dead()


def answer(server: LiveServer, target: str = "/", fields: str = "") -> str:
    """The status of the response, or that the connection was closed without one."""
    head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n{fields}\r\n"
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(head.encode())
            received = connection.recv(12)
        except ConnectionError:
            received = b""
    return received[9:12].decode() or CLOSED


def row(server: LiveServer, heading: str) -> str:
    return " | ".join(TABLES[heading][server.name.partition("-")[0]])


def test_a_head_that_is_too_long_gets_the_answer_of_the_page(server: LiveServer) -> None:
    size, expected = TOO_LONG_A_FIELD[server.name]

    assert answer(server, fields=f"X-Long: {'a' * 7_000}\r\n") == "200"
    assert answer(server, fields=f"X-Long: {'a' * size}\r\n") == expected
    assert expected in row(server, "Max header size")


def test_a_head_with_too_many_fields_gets_the_answer_of_the_page(server: LiveServer) -> None:
    if server.name not in TOO_MANY_FIELDS:
        assert answer(server, fields="".join(f"X-{n}: 1\r\n" for n in range(1_000))) == "200"
        return
    count, expected = TOO_MANY_FIELDS[server.name]

    assert answer(server, fields="".join(f"X-{n}: 1\r\n" for n in range(90))) == "200"
    assert answer(server, fields="".join(f"X-{n}: 1\r\n" for n in range(count))) == expected
    assert expected in row(server, "Max header size")


def test_a_first_line_that_is_too_long_gets_the_answer_of_the_page(server: LiveServer) -> None:
    if server.name not in TOO_LONG_A_LINE:
        assert answer(server, "/" + "a" * 8_000) == "200"
        return
    size, expected = TOO_LONG_A_LINE[server.name]

    assert answer(server, "/" + "a" * 4_000) == "200"
    assert answer(server, "/" + "a" * size) == expected
    assert expected in row(server, "Max header size")


def test_waitress_refuses_a_body_beyond_its_limit(servers: Servers) -> None:
    server = LiveServer.of(servers.get("waitress", "tests.apps.echoing:wsgi_app"))
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1073741825\r\n\r\n")

        assert connection.recv(12)[9:12] == b"413"
    assert "413" in row(server, "Max body size")

"""A client cannot write lines of its own into the log, nor control the terminal that shows it.

Servers pass paths on decoded, so a path may have any character.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import islice
from urllib.parse import quote

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from tests.apps.wsgi_sock import THREADS as SOCKETS
from tests.conftest import LiveServer, Servers, options
from tests.harness.control import Control
from tests.harness.servers import ASGI_SERVERS, SERVERS

CONTROLS = "\r\n\x00\x07\x08\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\ufeff"
FORGED = f"/{CONTROLS}2026-11-29 CRITICAL forged"
TARGET = quote(FORGED)
SHOWN = repr(FORGED)
HTTP_1 = [name for name in ASGI_SERVERS if SERVERS[name].http == "1.1"]


def check_log(log: str) -> None:
    """What the client sent is in one line of the log, with each control character escaped."""
    [line] = [line for line in log.split("\n") if SHOWN in line]
    assert line.isprintable()
    assert "\n2026-11-29 CRITICAL" not in log
    assert {each for each in CONTROLS if each in log} <= {"\n"}


@pytest.fixture(params=ASGI_SERVERS)
def busy_server(
    request: pytest.FixtureRequest, servers: Servers, control: Control, key: str
) -> Iterator[LiveServer]:
    """Two requests run, three wait, and the next is refused."""
    site = LiveServer.of(servers.get(request.param, env=options(threads=2, backlog=3)))
    with ThreadPoolExecutor(10) as clients:
        held = [clients.submit(site.client.fetch, "GET", f"/hold?key={key}") for _ in range(10)]
        control.expect_waiting(key, "hold", count=2)
        assert [each.result().status for each in islice(as_completed(held), 5)] == [503] * 5
        yield site
        control.open(key, "hold")
    site.client.close()


def test_the_line_about_a_503_shows_a_path_escaped(busy_server: LiveServer) -> None:
    assert busy_server.client.fetch("GET", TARGET).status == 503

    check_log(busy_server.log(wait_for="forged"))


@pytest.mark.parametrize("target", ["tests.apps.echoing:app", "tests.apps.echoing:router"])
@pytest.mark.parametrize("name", HTTP_1)
def test_the_line_about_a_refused_websocket_shows_a_path_escaped(
    name: str, target: str, servers: Servers
) -> None:
    site = LiveServer.of(servers.get(name, target))

    with pytest.raises(InvalidHandshake):
        connect(f"ws://127.0.0.1:{site.port}{TARGET}")

    check_log(site.log(wait_for="forged"))
    assert "refused the WebSocket" in site.log()


@pytest.mark.parametrize("name", HTTP_1)
def test_the_line_about_a_websocket_too_many_shows_a_path_escaped(
    name: str, servers: Servers
) -> None:
    site = LiveServer.of(servers.get(name, "tests.apps.wsgi_sock:app", env={}))
    url = f"ws://127.0.0.1:{site.port}"

    with ExitStack() as stack:
        for _ in range(SOCKETS):
            stack.enter_context(connect(f"{url}/echo"))
        with pytest.raises(InvalidHandshake):
            connect(f"{url}{TARGET}")

    check_log(site.log(wait_for="forged"))
    assert "503 for the WebSocket" in site.log()

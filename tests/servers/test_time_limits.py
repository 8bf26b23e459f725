"""Stuck requests through ``to_asgi`` on real servers: who gets 504, and what the server still does.

`tests/conformance/test_time_limits.py` has each rule, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.apps.wsgi_stuck import STUCK, THREADS
from tests.conftest import LiveServer, Servers, in_full
from tests.harness.http import Aborted, Exchange, Http1Client
from tests.harness.ports import HOST
from tests.harness.servers import ServerSpec, serve

WAIT_S = 30.0
TARGET = "tests.apps.wsgi_stuck:app"


@pytest.fixture(params=["uvicorn-httptools", *in_full("hypercorn", "granian", "daphne")])
def stuck_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    live_server = LiveServer.of(servers.get(request.param, TARGET, env={}))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


def until_none_is_lost(server: LiveServer) -> dict[str, int]:
    deadline = time.monotonic() + WAIT_S
    while True:
        state: dict[str, int] = server.client.fetch("GET", "/").json()
        if not state["lost"] or time.monotonic() > deadline:
            return state
        time.sleep(0.05)  # polling, with a deadline: a thread ends without an event


def read_to_the_end(exchange: Exchange) -> None:
    while exchange.chunk():
        pass


def test_however_a_thread_is_stuck_the_client_gets_504_and_others_are_served(
    stuck_server: LiveServer,
) -> None:
    fetch = stuck_server.client.fetch
    begun = stuck_server.client.open("GET", "/begun")
    assert begun.head().status == 200
    assert begun.chunk() == b"the beginning"
    with ThreadPoolExecutor(len(STUCK)) as clients:
        answers = list(clients.map(lambda path: fetch("GET", path), STUCK))

    assert [answer.status for answer in answers] == [504] * len(STUCK)
    if stuck_server.name != "daphne":  # which cannot abort a response
        with pytest.raises(Aborted):
            read_to_the_end(begun)
    begun.close()
    others = [fetch("GET", "/") for _ in range(2 * THREADS)]
    assert {other.status for other in others} == {200}
    log = stuck_server.log(wait_for="request_timeout_s=1. It stands at", times=len(STUCK) + 1)
    for path, function in STUCK.items():
        assert f"GET {path} has made no progress on its thread" in log
        assert f"in {function.__name__}\n" in log

    before = others[-1].json()
    assert fetch("GET", "/go-on").status == 200
    after = until_none_is_lost(stuck_server)
    assert after["pid"] == before["pid"]
    assert after["lost"] == 0
    assert after["threads"] < before["threads"]


# -- processes that are replaced -------------------------------------------------------------------

WORKERS = {
    "uvicorn": ["--host", HOST, "--port", "{port}", "--workers", "2"],
    "hypercorn": ["--bind", HOST + ":{port}", "--workers", "2"],
    "granian": ["--host", HOST, "--port", "{port}", "--workers", "2", "--interface", "asgi"],
}


@pytest.mark.parametrize("name", ["uvicorn", *in_full("hypercorn", "granian")])
def test_a_worker_that_has_no_thread_left_is_replaced(name: str) -> None:
    """Its master starts another one, and all clients are answered before, during and after."""
    arguments = WORKERS[name]
    spec = ServerSpec(
        f"{name}-workers",
        "asgi",
        lambda at, target: [
            name,
            *(argument.format(port=at.port) for argument in arguments),
            target,
        ],
    )
    with (
        serve(spec, "tests.apps.wsgi_stuck:few") as server,
        closing(Http1Client(server.port)) as client,
    ):

        def pid() -> int:
            answer = client.fetch("GET", "/")
            return int(answer.json()["pid"]) if answer.status == 200 else 0

        before = {pid() for _ in range(20)} - {0}
        with ThreadPoolExecutor(8) as clients:
            stuck = list(clients.map(lambda _: client.fetch("GET", "/sleep").status, range(8)))
        assert set(stuck) <= {503, 504}
        deadline = time.monotonic() + WAIT_S
        while not (new := pid()) or new in before:
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.05)  # polling, with a deadline: another process, which has to be imported
        assert "this process should be replaced: 2 threads of pool" in server.log()
        assert "asking for a new process" in server.log()

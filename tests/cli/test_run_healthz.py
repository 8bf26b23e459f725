"""`--healthz` and `--drain-s`: whether a server lives, and whether requests should go to it."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bridge._threads import health as process_health
from bridge.cli.healthz import Health
from tests.cli.running import (
    MULTI,
    SERVERS,
    TARGETS,
    TIMEOUT_S,
    client_of,
    fetch_unix,
    left_behind,
    running,
    start,
)
from tests.harness.control import Control
from tests.harness.ports import HOST
from tests.harness.servers import Server

pytestmark = pytest.mark.usefixtures("control")

OPTIONS = ("--healthz", "/healthz/", "--drain-s", "300")
STOPPING = (503, b"the server is shutting down\n")
SLOW_START = """
import asyncio

from tests.harness.control import gate


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.to_thread(gate, {key!r}, "start")
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    head = [(b"content-length", b"7")]
    await send({{"type": "http.response.start", "status": 200, "headers": head}})
    await send({{"type": "http.response.body", "body": b"started"}})
"""


def _check(site: Server, kind: str, method: str = "GET") -> tuple[int, bytes]:
    with closing(client_of(site)) as client:
        response = client.fetch(method, f"/healthz/{kind}")
    return response.status, response.body


@pytest.mark.parametrize("server", SERVERS)
def test_it_lives_and_is_ready_until_sigterm(server: str, control: Control, key: str) -> None:
    """After SIGTERM it goes on to serve; a second one is not delayed."""
    with (
        running(server, TARGETS["flask"], "--threads", "2", *OPTIONS) as site,
        ExitStack() as open_,
    ):
        assert _check(site, "live") == _check(site, "ready") == (200, b"ok\n")
        assert _check(site, "ready", "HEAD") == (200, b"")
        assert _check(site, "other")[0] == _check(site, "live", "POST")[0] == 404  # of the app
        if server != "gunicorn":  # checks wait for one of its threads, as all requests do
            client = client_of(site)
            waiting = [client.open("GET", f"/gated/{key}") for _ in range(2)]
            for exchange in waiting:
                open_.enter_context(closing(exchange))
            control.expect_waiting(key, "go", 2)
            assert _check(site, "live") == _check(site, "ready") == (200, b"ok\n")
            control.open(key, "go")
            assert [exchange.read().body for exchange in waiting] == [b"finished"] * 2

        site.signal(signal.SIGTERM)
        _wait_until_not_ready(site)
        assert _check(site, "live") == (200, b"ok\n")
        assert client_of(site).fetch("GET", "/").status == 200, "it serves while it drains"
        site.signal(signal.SIGTERM)
        assert site.process.wait(TIMEOUT_S) == 0
        assert left_behind(site) == []


@pytest.mark.parametrize("server", MULTI)
def test_every_worker_learns_of_sigterm(server: str) -> None:
    with running(server, TARGETS["flask"], "--workers", "2", *OPTIONS) as site:
        assert {_check(site, "ready") for _ in range(10)} == {(200, b"ok\n")}
        site.signal(signal.SIGTERM)
        _wait_until_not_ready(site)
        _wait_until_not_ready(site, times=20)
        site.signal(signal.SIGTERM)
        assert site.process.wait(TIMEOUT_S) == 0
        assert left_behind(site) == []


@pytest.mark.parametrize("server", SERVERS)
def test_the_shutdown_begins_when_the_wait_is_over(server: str) -> None:
    with running(server, TARGETS["fastapi"], "--drain-s", "0.2") as site:
        site.signal(signal.SIGTERM)
        assert site.process.wait(TIMEOUT_S) == 0
        assert left_behind(site) == []


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_ctrl_c_does_not_wait(server: str) -> None:
    with running(server, TARGETS["flask"], *OPTIONS) as site:
        site.signal(signal.SIGINT)
        assert site.process.wait(TIMEOUT_S) == 0


def _wait_until_not_ready(site: Server, times: int = 1) -> None:
    """Wait until so many checks in a row say so: several workers learn of it one after another."""
    deadline = time.monotonic() + TIMEOUT_S
    while any(_check(site, "ready") != STOPPING for _ in range(times)):
        assert time.monotonic() < deadline, site.log()
        time.sleep(0.02)  # polling, with a deadline: as a load balancer does


def test_daphne_is_not_ready_while_the_app_starts(
    tmp_path: Path, control: Control, key: str
) -> None:
    """It sends no lifespan. Other servers accept no connection before the app has started."""
    (tmp_path / "slow_start.py").write_text(SLOW_START.format(key=key))
    path = tmp_path / "site.sock"
    args = ("--server", "daphne", "--uds", str(path), *OPTIONS)
    process = start("slow_start.py", *args, cwd=tmp_path)
    try:
        assert fetch_unix(path, path="/healthz/ready") == b"the app is starting\n"
        control.expect_waiting(key, "start")
        assert fetch_unix(path, path="/healthz/live") == b"ok\n"
        control.open(key, "start")
        assert fetch_unix(path) == b"started"
        assert fetch_unix(path, path="/healthz/ready") == b"ok\n"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_waitress_refuses_a_malformed_request_as_it_does_without_checks() -> None:
    """It asks where the request belongs before it answers 400."""
    with running("waitress", TARGETS["flask"], "--healthz", "/healthz") as site:
        with socket.create_connection((HOST, site.port), TIMEOUT_S) as client:
            client.sendall(b"malformed\r\n\r\n")
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.0 400 "), answer
        assert "Error" not in site.log()


def test_pages_of_the_app_below_the_path_do_not_keep_checks_waiting_on_waitress(
    control: Control, key: str
) -> None:
    """Its thread for checks serves nothing else."""
    with (
        running("waitress", TARGETS["flask"], "--threads", "1", "--healthz", "/gated") as site,
        closing(client_of(site)) as client,
        closing(client_of(site).open("GET", f"/gated/{key}")) as page,
    ):
        control.expect_waiting(key, "go")
        assert client.fetch("GET", "/gated/live").body == b"ok\n"
        control.open(key, "go")
        assert page.read().body == b"finished"


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "waitress"])
def test_the_path_may_have_any_characters(server: str) -> None:
    with (
        running(server, TARGETS["flask"], "--threads", "2", "--healthz", "/santé") as site,
        closing(client_of(site)) as client,
    ):
        assert client.fetch("GET", "/sant%C3%A9/live").body == b"ok\n"


def test_a_process_that_should_be_replaced_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_health, "_state", process_health._State())
    health = Health(None, sends_lifespan=True)
    assert health.reason() is None
    process_health.degrade("all threads are lost")
    assert health.reason() == "all threads are lost"

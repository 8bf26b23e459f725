"""Flask's async views behind `to_asgi` run on the server's loop and share one async client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import LiveServer, Servers


@pytest.fixture(params=["theirs", "ours"])
def flask(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """With Flask's default, asgiref's ``async_to_sync``, and with ours."""
    server = servers.get("uvicorn-uvloop", f"tests.sync.flask_app:{request.param}", env={})
    site = LiveServer.of(server)
    yield site
    site.client.close()


def test_every_async_view_runs_on_the_servers_loop(flask: LiveServer) -> None:
    for _ in range(10):
        answer = flask.client.fetch("GET", "/loop").json()
        assert answer["is_servers"] is True
        assert answer["thread"] == "MainThread"
        assert answer["sync_thread"].startswith("bridge-worker"), "not on the view's thread"


def test_requests_share_one_async_client(flask: LiveServer) -> None:
    with ThreadPoolExecutor(6) as many:
        answers = list(many.map(lambda _: flask.client.fetch("GET", "/fetch"), range(30)))

    assert {answer.status for answer in answers} == {200}
    assert all(len(answer.json()["threads"]) == 3 for answer in answers)


def test_async_views_run_concurrently(flask: LiveServer) -> None:
    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda _: flask.client.fetch("GET", "/pause"), range(40)))

    assert {answer.status for answer in answers} == {200}
    assert "Traceback" not in flask.log()

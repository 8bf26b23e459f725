"""Channels and sync views: a view saves a notice, and open boards show it; in memory and by Redis.

The project is ``examples/django_site``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.django.quay import TIMEOUT_S, board, chalk_up, news
from tests.examples.projects import DJANGO_SITE, prepare_shop
from tests.harness.redis import RedisServer, redis_server
from tests.harness.servers import Server, serve

TARGET = "config.asgi:application"
ATTEMPTS = 5
LOST = "closed a WebSocket because the channel layer failed"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('quay')}/shop.sqlite3"
    prepare_shop(url)
    return url


@pytest.fixture(scope="module", params=["uvicorn-uvloop", "gunicorn-gthread"])
def alone(database: str, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One process, with the channel layer in its memory."""
    env = {"DATABASE_URL": database, "REDIS_URL": ""}
    with serve(request.param, TARGET, env=env, cwd=DJANGO_SITE) as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module", params=["uvicorn-httptools", "gunicorn-gthread"])
def pair(
    database: str,
    redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Server, Server]]:
    """Two processes, with Redis as their channel layer."""
    env = {"DATABASE_URL": database, "REDIS_URL": redis.url}
    logs: list[Path] = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")]
    with (
        serve("uvicorn-uvloop", TARGET, env=env, cwd=DJANGO_SITE, log_dir=logs[0]) as one,
        serve(request.param, TARGET, env=env, cwd=DJANGO_SITE, log_dir=logs[1]) as other,
    ):
        yield one, other


def test_a_sync_view_that_saves_reaches_every_open_board(alone: Server, key: str) -> None:
    with board(alone.url) as first, board(alone.url) as second:
        assert chalk_up(alone.url, "Ann", key).status_code == 200

        for socket in (first, second):
            [notice] = news(socket)["notices"]
            assert (notice["author"], notice["text"]) == ("Ann", key)


def test_an_invalid_notice_is_neither_saved_nor_sent(alone: Server, key: str) -> None:
    with board(alone.url) as socket:
        assert "This field is required." in chalk_up(alone.url, "", key).text
        chalk_up(alone.url, "Ann", f"after {key}")

        assert news(socket)["notices"][0]["text"] == f"after {key}"


def test_a_websocket_from_another_origin_is_refused(alone: Server) -> None:
    address = alone.url.replace("http", "ws") + "/quay/socket/"

    with pytest.raises(InvalidStatus), connect(address, origin=Origin("http://elsewhere.example")):
        pass


def test_a_message_posted_to_one_process_reaches_the_sockets_of_another(
    pair: tuple[Server, Server], key: str
) -> None:
    one, other = pair
    with board(one.url) as here, board(other.url) as there:
        chalk_up(one.url, "Ann", f"from one {key}")
        for socket in (here, there):
            assert news(socket)["notices"][0]["text"] == f"from one {key}"

        chalk_up(other.url, "Ben", f"from the other {key}")
        for socket in (here, there):
            assert news(socket)["notices"][0]["text"] == f"from the other {key}"


def test_boards_recover_after_redis_has_restarted(
    pair: tuple[Server, Server], redis: RedisServer, key: str
) -> None:
    one, other = pair
    with board(other.url) as socket:
        redis.stop()
        with pytest.raises(ConnectionClosed) as closed:
            news(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    other.wait_for_log(LOST)

    answer = chalk_up(one.url, "Ann", f"meanwhile {key}")
    assert (answer.status_code, key in answer.text) == (200, True)
    one.wait_for_log("saved, but not sent to open pages: the channel layer failed")

    redis.start()
    assert any(boards_get(one, other, f"again {key} {attempt}") for attempt in range(ATTEMPTS))


def boards_get(one: Server, other: Server, text: str) -> bool:
    """Whether boards on both servers get a notice. Old connections to Redis fail once each."""
    try:
        with board(other.url) as socket, board(one.url) as local:
            chalk_up(one.url, "Ann", text)
            return all(news(each)["notices"][0]["text"] == text for each in (socket, local))
    except (ConnectionClosed, TimeoutError):
        return False


@pytest.mark.parametrize(
    ("server", "target", "status"),
    [("waitress", TARGET, 404), ("gunicorn-gthread", "config.wsgi:application", 404)],
)
def test_without_websockets_the_page_works(
    database: str, key: str, server: str, target: str, status: int
) -> None:
    env = {"DATABASE_URL": database, "REDIS_URL": ""}
    with serve(server, target, env=env, cwd=DJANGO_SITE) as running:
        page = chalk_up(running.url, "Ann", key).text
        socket = httpx.get(f"{running.url}/quay/socket/", timeout=TIMEOUT_S)

    assert key in page
    assert "cannot serve WebSockets" in page
    assert "quay.js" not in page
    assert socket.status_code == status

"""The examples on real servers: each server starts once, each test has its own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.conftest import LiveServer
from tests.examples.projects import (
    DJANGO_SITE,
    FLASK_APP,
    Demo,
    prepare_shop,
    running_demo,
)
from tests.harness.browser import chromium
from tests.harness.postgres import PostgresServer, postgres_server
from tests.harness.servers import Server, serve

SERVER = "uvicorn-uvloop"
TIMEOUT_S = 30.0


@pytest.fixture(scope="session")
def office_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the running Flask app."""
    return tmp_path_factory.mktemp("office")


@pytest.fixture(scope="session")
def office_server(office_data: Path) -> Iterator[Server]:
    """``examples/flask_app`` under uvicorn."""
    env = {"FLASK_DATA_DIR": str(office_data)}
    with serve(SERVER, "asgi:app", env=env, cwd=FLASK_APP, log_dir=office_data) as server:
        yield server


@pytest.fixture
def office_site(office_server: Server) -> Iterator[LiveServer]:
    """The Flask app, with its log marked at the start of the test."""
    yield from _marked(office_server)


@pytest.fixture
def office(office_site: LiveServer) -> Iterator[httpx.Client]:
    """A client of the Flask app, with its own cookies."""
    with visitor(office_site.server.url) as client:
        yield client


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A private PostgreSQL server."""
    with postgres_server(log_dir=tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shop_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a seeded shop database, on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.create_database("shop")
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.sqlite3"
    prepare_shop(url)
    return url


@pytest.fixture(scope="session")
def shop_server(shop_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``examples/django_site`` under uvicorn."""
    env = {"DATABASE_URL": shop_database}
    logs = tmp_path_factory.mktemp("shop-log")
    target = "config.asgi:application"
    with serve(SERVER, target, env=env, cwd=DJANGO_SITE, log_dir=logs) as server:
        yield server


@pytest.fixture
def shop_site(shop_server: Server) -> Iterator[LiveServer]:
    """The Django site, with its log marked at the start of the test."""
    yield from _marked(shop_server)


@pytest.fixture
def shop(shop_site: LiveServer) -> Iterator[httpx.Client]:
    """A client of the Django site, with its own cookies."""
    with visitor(shop_site.server.url) as client:
        yield client


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the running demo."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def demo(demo_data: Path) -> Iterator[Demo]:
    """``examples/demo.py``: all examples on one port."""
    with running_demo(demo_data) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, per module, because Playwright occupies the thread's event loop."""
    with chromium() as running:
        yield running


def visitor(url: str) -> httpx.Client:
    """A client that follows redirects like a browser."""
    return httpx.Client(
        base_url=url, follow_redirects=True, timeout=TIMEOUT_S, headers={"Accept": "text/html"}
    )


def _marked(server: Server) -> Iterator[LiveServer]:
    site = LiveServer.of(server)
    yield site
    site.client.close()

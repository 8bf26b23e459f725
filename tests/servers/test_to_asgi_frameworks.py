"""WSGI frameworks behind ``to_asgi`` on each ASGI server, with Django's admin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.apps.django_user import PASSWORD, USER
from tests.conftest import LiveServer, Servers
from tests.harness.control import Control
from tests.harness.servers import ASGI_SERVERS, ROOT
from tests.servers.test_to_asgi_errors import tracebacks

FRAMEWORKS = "tests.apps.wsgi_frameworks:app"
NAMES = {
    "flask": "Flask",
    "django": "Django",
    "falcon": "Falcon",
    "bottle": "Bottle",
    "pyramid": "Pyramid",
}
BIG = b"0123456789abcdef" * (5 << 16)  # 5 MiB


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with Django's tables and one superuser."""
    path = tmp_path_factory.mktemp("django") / "db.sqlite3"
    env = {**os.environ, "BRIDGE_TEST_DATABASE": str(path)}
    command = [sys.executable, "-m", "tests.apps.wsgi_django"]
    subprocess.run(command, env=env, cwd=ROOT, check=True, timeout=60)
    return path


@pytest.fixture(params=ASGI_SERVERS)
def frameworks(
    request: pytest.FixtureRequest, servers: Servers, database: Path
) -> Iterator[LiveServer]:
    env = {"BRIDGE_TEST_DATABASE": str(database)}
    live_server = LiveServer.of(servers.get(request.param, FRAMEWORKS, env=env))
    yield live_server
    live_server.client.close()


@pytest.fixture
def browser(frameworks: LiveServer) -> Iterator[httpx.Client]:
    """A client with cookies and redirects, for the HTTP version of the server."""
    http2 = frameworks.client.http == "2"
    url = frameworks.server.url
    with httpx.Client(base_url=url, http1=not http2, http2=http2, timeout=15) as client:
        yield client


@pytest.mark.parametrize("name", NAMES)
def test_a_framework_builds_urls_below_its_mount_point(frameworks: LiveServer, name: str) -> None:
    response = frameworks.client.fetch("GET", f"/{name}/hello")

    assert response.status == 200
    assert response.body.decode() == f"Hello from {NAMES[name]} at /{name}/hello"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_page_is_the_frameworks_404(frameworks: LiveServer, name: str) -> None:
    assert frameworks.client.fetch("GET", f"/{name}/missing").status == 404


@pytest.mark.parametrize("name", ["flask", "django"])
def test_a_file_upload_arrives(browser: httpx.Client, name: str) -> None:
    response = browser.post(
        f"/{name}/upload", files={"file": ("big.bin", BIG)}, data={"note": "caf\xe9"}
    )

    assert response.json() == {"name": "big.bin", "size": len(BIG), "note": "caf\xe9"}


def test_a_json_body_arrives_in_falcon(browser: httpx.Client) -> None:
    response = browser.post("/falcon/hello", json={"a": [1, 2]})

    assert response.json() == {"received": {"a": [1, 2]}}


def test_a_form_arrives_in_bottle(browser: httpx.Client) -> None:
    response = browser.post("/bottle/hello", data={"name": "ann"})

    assert response.json() == {"received": "ann"}


@pytest.mark.parametrize("name", ["flask", "django"])
def test_a_streamed_response_is_sent_chunk_by_chunk(
    frameworks: LiveServer, control: Control, key: str, name: str
) -> None:
    exchange = frameworks.client.open("GET", f"/{name}/stream?key={key}")
    for number in range(3):
        control.expect_waiting(key, "chunk")
        control.release(key, "chunk")
        assert exchange.chunk().startswith(f"chunk {number}".encode())

    assert exchange.chunk() == b""


@pytest.mark.parametrize("name", ["flask", "django"])
def test_a_session_is_kept_by_its_cookie(browser: httpx.Client, name: str) -> None:
    counts = [browser.get(f"/{name}/count").json()["count"] for _ in range(3)]

    assert counts == [1, 2, 3]


def test_flasks_async_views_run(frameworks: LiveServer) -> None:
    response = frameworks.client.fetch("GET", "/flask/async")

    assert response.status == 200
    assert response.body.startswith(b"an async view on ")


def test_flask_sends_a_file_and_a_range_of_it(browser: httpx.Client) -> None:
    whole = browser.get("/flask/download")
    part = browser.get("/flask/download", headers={"range": "bytes=5-14"})

    assert whole.content == b"0123456789" * 100_000
    assert (part.status_code, part.content) == (206, b"5678901234")


def test_flask_handles_and_logs_its_own_errors(frameworks: LiveServer, key: str) -> None:
    """Flask catches and logs the exception, so the adapter must not log it again."""
    response = frameworks.client.fetch("GET", f"/flask/error?key={key}")

    assert response.status == 500
    assert b"Internal Server Error" in response.body
    log = frameworks.log(wait_for=f"LookupError: {key}")
    assert tracebacks(log, f"LookupError: {key}") == 1


def test_django_admin_logs_in_and_adds_a_user(browser: httpx.Client, key: str) -> None:
    def token(page: httpx.Response) -> dict[str, str]:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert found, page.text
        return {"csrfmiddlewaretoken": found[1]}

    page = browser.get("/django/admin/", follow_redirects=True)
    assert page.url.path == "/django/admin/login/"
    form = {**token(page), "username": USER, "password": PASSWORD, "next": "/django/admin/"}
    index = browser.post("/django/admin/login/", data=form, follow_redirects=True)
    assert index.status_code == 200
    assert "Site administration" in index.text

    page = browser.get("/django/admin/auth/user/add/")
    passwords = {"password1": "correct horse", "password2": "correct horse"}
    added = browser.post(
        "/django/admin/auth/user/add/",
        data={**token(page), "username": key, "usable_password": "true", **passwords},
        follow_redirects=True,
    )
    assert f"{key}" in added.text
    assert "was added successfully" in added.text

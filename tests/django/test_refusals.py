"""Requests that no view gets: the same answer for sync views and for async views."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import LiveServer
from tests.django.conftest import Projects
from tests.django.test_servers import ASGI
from tests.harness.http import exchange_raw, split_responses
from tests.harness.servers import ROOT

BROKEN = {
    "two hosts": "host: a.example\r\nhost: b.example\r\n",
    "two lengths": "host: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
    "a length that is no number": "host: x\r\ncontent-length: 1x\r\n",
    "a length and chunks": "host: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
    "101 lines": "host: x\r\n" + "x-many: a\r\n" * 101,
}
"""A head without its first line, and how it is broken."""


def answer(site: LiveServer, path: str, lines: str, method: str = "POST") -> tuple[int, bytes]:
    """The status and body. Some servers refuse such a request themselves."""
    body = "0\r\n\r\n" if "chunked" in lines else ""
    head = f"{method} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n{body}"
    (response,) = split_responses(exchange_raw(site.port, head.encode()), [method])
    return response.status, response.body


@pytest.fixture(params=[*ASGI, "uvicorn-httptools"])
def site(request: pytest.FixtureRequest, project: Projects) -> LiveServer:
    return project(server=request.param)


@pytest.mark.parametrize("broken", BROKEN)
def test_both_kinds_of_views_refuse_the_same_requests(site: LiveServer, broken: str) -> None:
    sync, async_ = (answer(site, path, BROKEN[broken]) for path in ("/sync/", "/async/"))

    assert async_ == sync
    if (site.name, broken) == ("granian", "a length and chunks"):
        assert sync[0] == 403, "no CSRF token: hyper drops the length, as RFC 9112, 6.3 allows"
    else:
        assert sync[0] in (400, 431)
    assert "Traceback" not in site.log()


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
def test_underscores_are_refused_for_both(project: Projects, path: str) -> None:
    site = project(options={"underscore_headers": "refuse"})

    status, body = answer(site, path, "host: x\r\nx_user: eve\r\n")

    assert status == 400
    assert b"'x_user' has an underscore" in body


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
def test_the_same_host_twice_is_one_host(project: Projects, path: str) -> None:
    site = project()

    status, _ = answer(site, path, "host: a.example\r\nhost: a.example \r\n", "GET")

    assert status == 200


RUN_WITHOUT_ASYNCIO = """
from tests.django.project import app
from tests.harness.asgi import http_scope

def run(scope, message):
    async def receive():
        return message

    async def send(sent):
        print(sent["type"], sent.get("message"))

    async def serve():
        try:
            await app(scope, receive, send)
        except Exception as error:
            print(type(error).__name__, error)

    try:
        serve().send(None)
    except StopIteration:
        pass

run({"type": "lifespan"}, {"type": "lifespan.startup"})
for path in ("/sync/", "/async/"):
    run(http_scope(path=path), {"type": "http.request"})
"""


def test_a_server_without_asyncio_is_named() -> None:
    """As ``hypercorn -k trio``."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT_ASYNCIO],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )

    sentence = (
        "no asyncio event loop is running here; start the server on asyncio or uvloop, not trio"
    )
    assert ran.stdout.splitlines() == [
        f"lifespan.startup.failed {sentence}",
        *[f"ServerProtocolError {sentence}"] * 3,
    ]

"""Every ASGI framework behind ``to_wsgi`` under gunicorn's gthread worker."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.apps.asgi_frameworks import PARTS
from tests.harness.control import Control
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers

FRAMEWORKS = ["fastapi", "starlette", "quart", "falcon", "sanic"]
NAMES = {"fastapi": "FastAPI", "starlette": "Starlette", "quart": "Quart", "falcon": "Falcon"}
FILE = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def live_server(wsgi_servers: WsgiServers, framework: str) -> LiveWsgiServer:
    target = f"tests.apps.asgi_frameworks:{framework}_app"
    return wsgi_servers.get("gunicorn-gthread", target)


def multipart(note: str, name: str, data: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """A form with a text field and a file."""
    boundary = "the-boundary"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{note}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    return [("content-type", f"multipart/form-data; boundary={boundary}")], body


def test_requests_see_what_the_framework_created_at_startup(
    live_server: LiveWsgiServer, framework: str
) -> None:
    """P13."""
    response = live_server.client.fetch("GET", "/hello")

    assert response.status == 200
    assert response.json()["hello"] == f"hello from {NAMES.get(framework, 'Sanic')}"


def test_a_json_body_arrives(live_server: LiveWsgiServer) -> None:
    value = {"text": "caf\xe9", "numbers": list(range(1000))}
    body = json.dumps(value).encode()

    response = live_server.client.fetch(
        "POST", "/echo", [("content-type", "application/json")], body
    )

    assert response.json() == value


def test_an_upload_arrives(live_server: LiveWsgiServer) -> None:
    headers, body = multipart("a note", "data.bin", FILE)

    response = live_server.client.fetch("POST", "/upload", headers, body)

    assert response.status == 200, response
    sha256 = hashlib.sha256(FILE).hexdigest()
    assert response.json() == {"note": "a note", "name": "data.bin", "sha256": sha256}


def test_a_streamed_response_is_sent_part_by_part(
    live_server: LiveWsgiServer, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/stream?key={key}")
    for number in range(PARTS):
        control.release(key, "part")
        assert exchange.chunk() == f"part {number};".encode()
    assert exchange.chunk() == b""


def test_background_work_runs_after_the_response(
    live_server: LiveWsgiServer, control: Control, key: str
) -> None:
    """P15."""
    response = live_server.client.fetch("POST", f"/background?key={key}", body=b"")

    assert response.status == 202
    assert control.reports(key, "worked") == []
    control.release(key, "work")
    control.expect(key, "worked")


def test_a_missing_page_is_the_frameworks_404(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/nowhere").status == 404


def test_a_disconnect_during_a_stream_is_not_an_error(
    live_server: LiveWsgiServer, framework: str, control: Control, key: str
) -> None:
    exchange = live_server.client.open("GET", f"/stream?key={key}")
    control.release(key, "part")
    assert exchange.chunk()
    exchange.disconnect()
    control.open(key, "part")

    assert live_server.client.fetch("GET", "/hello").status == 200
    log = live_server.log()
    assert "[ERROR]" not in log, "gunicorn must not log it as an error"
    # Sanic logs every exception of a handler, also those of send() (ASGI HTTP spec 2.4).
    assert "Traceback" not in log or framework == "sanic"


# -- features of single frameworks -----------------------------------------------------------------


@pytest.mark.parametrize("framework", ["fastapi"])
def test_a_dependency_of_fastapi_is_closed_after_its_request(
    live_server: LiveWsgiServer, control: Control, key: str
) -> None:
    assert live_server.client.fetch("GET", f"/hello?key={key}").json()["session"] == "session"
    control.expect(key, "session closed")


@pytest.mark.parametrize("framework", ["fastapi"])
def test_a_sync_endpoint_of_fastapi_responds(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/sync/ada").json() == {"hello": "ada"}


@pytest.mark.parametrize("framework", ["fastapi"])
def test_fastapi_serves_its_documentation(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/docs").status == 200
    assert "/upload" in live_server.client.fetch("GET", "/openapi.json").json()["paths"]


@pytest.mark.parametrize("framework", ["starlette"])
def test_a_base_http_middleware_of_starlette_works(live_server: LiveWsgiServer) -> None:
    assert live_server.client.fetch("GET", "/hello").header("x-stamp") == "starlette"

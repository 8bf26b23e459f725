"""The record of a request, and its line in the access log, on real servers of both interfaces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from tests.apps import observed
from tests.conftest import LiveServer, Servers
from tests.harness.control import Control

TARGET = "tests.apps.observed:app"
ON_ASGI = ["uvicorn-h11", "hypercorn", "granian", "daphne"]
ON_WSGI = ["gunicorn-gthread", "waitress"]
FILE_SIZE = Path(observed.__file__).stat().st_size


@pytest.fixture(params=[*ON_ASGI, *ON_WSGI])
def site(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    found = LiveServer.of(servers.get(request.param, TARGET, env={}))
    yield found
    found.client.close()


def crosses(site: LiveServer, app: str) -> bool:
    """Whether the request goes through an adapter."""
    return app[1:] != site.server.spec.kind


def ended(control: Control, key: str) -> dict[str, Any]:
    """The record at its end, which is reported once, as its start is."""
    [record] = control.expect(key, "ended")
    assert len(control.expect(key, "started")) == 1
    return record


def line_of(site: LiveServer, key: str) -> str:
    """The only line of the access log with this id."""
    log = site.log(wait_for=f"id={key}")
    [line] = [each for each in log.split("\n") if f"id={key}" in each]
    return line


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_a_request_is_recorded_and_logged_once(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    response = site.client.fetch("GET", f"{app}/hello?token=secret", [("x-request-id", key)])

    assert response.body == b"hello"
    assert response.header_values("x-request-id") == [key]
    assert response.header("x-seen") == key
    record = ended(control, key)
    assert (record["kind"], record["method"], record["path"]) == ("http", "GET", f"{app}/hello")
    assert (record["status"], record["sent_bytes"], record["client"]) == (200, 5, "127.0.0.1")
    assert not record["disconnected"]
    assert record["error"] is None
    assert (record["queue_s"] is not None) == crosses(site, app)
    on_thread = site.server.spec.kind == "wsgi" or app == "/wsgi"
    assert (record["thread_s"] is not None) == on_thread
    assert 0 < record["total_s"] < time.monotonic() - record["arrived_at"]
    line = line_of(site, key)
    assert f"127.0.0.1 GET {app}/hello 200 total=" in line
    assert "secret" not in line


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_the_lines_of_the_app_have_the_id_of_their_request(
    site: LiveServer, app: str, key: str
) -> None:
    site.client.fetch("GET", f"{app}/hello", [("x-request-id", key)])
    site.client.fetch("GET", f"{app}/stream", [("x-request-id", key)])

    log = site.log(wait_for=f"{key}|in the stream")
    assert f"{key}|in the app" in log


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_of_both_bodies_are_counted(
    site: LiveServer, app: str, chunked: bool, control: Control, key: str
) -> None:
    body = b"0123456789\n" * 20000
    length = [] if chunked else [("content-length", str(len(body)))]

    exchange = site.client.open(
        "POST", f"{app}/upload", [("x-request-id", key), *length], has_body=True
    )
    exchange.send(body)
    exchange.end()
    assert exchange.read().body == b"%d" % len(body)

    record = ended(control, key)
    assert (record["status"], record["received_bytes"]) == (201, len(body))
    assert record["sent_bytes"] == len(b"%d" % len(body))


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_an_error_before_the_response_is_a_500(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    assert site.client.fetch("GET", f"{app}/boom", [("x-request-id", key)]).status == 500

    record = ended(control, key)
    assert (record["status"], record["error"]) == (500, "LookupError")
    assert not record["disconnected"]
    assert "error=LookupError" in line_of(site, key)


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_an_error_within_the_response_keeps_its_status(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    exchange = site.client.open("GET", f"{app}/late_boom", [("x-request-id", key)])
    assert exchange.head().status == 200
    exchange.close()

    record = ended(control, key)
    assert (record["status"], record["error"]) == (200, "LookupError")


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_a_disconnect_within_the_response_is_recorded(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    exchange = site.client.open("GET", f"{app}/endless", [("x-request-id", key)])
    exchange.chunk()
    exchange.disconnect()

    control.expect(key, "closed")
    record = ended(control, key)
    assert record["disconnected"]
    assert record["status"] == 200
    assert record["sent_bytes"] >= len(observed.PIECE)
    assert " disconnected" in line_of(site, key)


@pytest.mark.parametrize("name", [*ON_ASGI, "gunicorn-gthread"])
def test_a_disconnect_from_a_silent_response_is_recorded(
    name: str, servers: Servers, control: Control, key: str
) -> None:
    site = LiveServer.of(servers.get(name, TARGET, env={}))

    exchange = site.client.open("GET", "/asgi/silent", [("x-request-id", key)])
    exchange.chunk()
    exchange.disconnect()

    record = ended(control, key)
    assert record["disconnected"]
    assert record["error"] is None
    assert record["status"] == 200


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_the_server_sends_is_counted(
    site: LiveServer, app: str, method: str, control: Control, key: str
) -> None:
    response = site.client.fetch(method, f"{app}/file", [("x-request-id", key)])

    assert len(response.body) == (FILE_SIZE if method == "GET" else 0)
    record = ended(control, key)
    assert not record["disconnected"]
    assert record["sent_bytes"] == len(response.body)


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_a_response_without_a_body_is_no_disconnect(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    assert site.client.fetch("GET", f"{app}/empty", [("x-request-id", key)]).status == 204

    record = ended(control, key)
    assert (record["status"], record["sent_bytes"], record["disconnected"]) == (204, 0, False)


def test_what_an_app_writes_with_write_is_counted(
    site: LiveServer, control: Control, key: str
) -> None:
    response = site.client.fetch("GET", "/wsgi/writing", [("x-request-id", key)])

    assert response.body == b"1234567890"
    assert ended(control, key)["sent_bytes"] == 10


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_a_request_without_a_valid_id_gets_one(site: LiveServer, app: str) -> None:
    forged = "forged=1 id=2"

    response = site.client.fetch("GET", f"{app}/hello", [("x-request-id", forged)])

    own = response.header("x-request-id") or ""
    assert len(own) == 32
    assert response.header("x-seen") == own
    assert forged not in site.log(wait_for=f"id={own}")


@pytest.mark.parametrize("app", ["/wsgi", "/asgi"])
def test_the_wait_in_front_of_the_server_is_queue_time(
    site: LiveServer, app: str, control: Control, key: str
) -> None:
    started = f"t={time.time() - 5:.3f}"

    response = site.client.fetch(
        "GET", f"{app}/hello", [("x-request-id", key), ("x-request-start", started)]
    )

    assert ended(control, key)["proxy_wait_s"] > 4
    queue, _, _ = (response.header("server-timing") or "").partition(",")
    assert queue.startswith("queue;dur=")
    assert float(queue.removeprefix("queue;dur=")) > 4000


# -- WebSockets ------------------------------------------------------------------------------------

WITH_SOCKETS = [*ON_ASGI, "gunicorn-gthread"]
SEND_HEADERS_OF_ACCEPT = {"uvicorn-h11", "hypercorn", "gunicorn-gthread"}
REPORT_1006 = {"hypercorn", "daphne", "gunicorn-gthread"}
"""The others report 1005 when a connection is cut, as after a close frame without a code."""


@pytest.fixture(params=WITH_SOCKETS)
def socket_site(request: pytest.FixtureRequest, servers: Servers) -> LiveServer:
    return LiveServer.of(servers.get(request.param, TARGET, env={}))


def test_a_websocket_is_recorded_until_it_is_closed(
    socket_site: LiveServer, control: Control, key: str
) -> None:
    url = f"ws://127.0.0.1:{socket_site.port}/asgi/socket"

    with connect(url, additional_headers={"x-request-id": key}) as client:
        assert client.response is not None
        if socket_site.name in SEND_HEADERS_OF_ACCEPT:
            assert client.response.headers.get_all("x-request-id") == [key]
        client.send("é" * 10)
        assert client.recv() == "é" * 10
        assert control.reports(key, "ended") == []
        client.send("bye")
        assert client.recv() == "bye"

    record = ended(control, key)
    assert (record["kind"], record["method"], record["status"]) == ("websocket", "GET", 101)
    assert (record["received_bytes"], record["sent_bytes"]) == (23, 23)
    assert not record["disconnected"]
    assert record["error"] is None
    assert " websocket" in line_of(socket_site, key)


def test_a_websocket_that_is_cut_has_disconnected(
    socket_site: LiveServer, control: Control, key: str
) -> None:
    url = f"ws://127.0.0.1:{socket_site.port}/asgi/socket"

    with connect(url, additional_headers={"x-request-id": key}) as client:
        client.send("one")
        client.recv()
        client.socket.shutdown(2)
        record = ended(control, key)

    assert record["disconnected"] == (socket_site.name in REPORT_1006)


def test_a_denied_websocket_is_recorded_with_its_status(
    socket_site: LiveServer, control: Control, key: str
) -> None:
    url = f"ws://127.0.0.1:{socket_site.port}/asgi/denied"

    with pytest.raises(InvalidHandshake):
        connect(url, additional_headers={"x-request-id": key})

    assert ended(control, key)["status"] == 403


# -- nested ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uvicorn-h11", "gunicorn-gthread"])
def test_a_request_that_is_observed_twice_is_logged_once(
    name: str, servers: Servers, control: Control, key: str
) -> None:
    site = LiveServer.of(servers.get(name, "tests.apps.observed:inner", env={}))

    response = site.client.fetch("GET", "/asgi/hello", [("x-request-id", key)])

    assert response.header_values("x-request-id") == [key]
    ended(control, key)
    line_of(site, key)
    site.client.close()

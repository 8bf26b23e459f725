"""Bodies that are longer than their Content-Length, on each ASGI server.

The client gets what the app has announced, and the connection goes on; with ``strict`` it is an
error. Seen at gunicorn, waitress and mod_wsgi, which send as much as was announced.
"""

from __future__ import annotations

import pytest

from tests.apps.wsgi_long import BODY, WARNS, WAYS
from tests.conftest import THREADS, LiveServer, Servers, options
from tests.harness.control import Control
from tests.harness.http import Aborted, exchange_raw, split_responses

LENGTH = 6
REST = "sent more than its Content-Length of 6 bytes for /long; the rest is dropped"


def test_the_rest_is_dropped_and_logged_once(
    live_server: LiveServer, control: Control, key: str
) -> None:
    for how in WAYS:
        response = live_server.client.fetch("GET", f"/long?how={how}&length={LENGTH}&key={key}")
        assert (response.status, response.body) == (200, BODY[:LENGTH]), how
        assert response.header("content-length") == str(LENGTH)

    control.expect(key, "closed", count=3)  # an iterator and two files
    assert len(control.reports(key, "chunk")) == 2, "iteration stops at the first chunk too much"
    log = live_server.log(wait_for=REST, times=len(WARNS))
    assert log.count(REST) == len(WARNS)
    assert "Traceback" not in log


def test_a_body_that_is_not_sent_is_never_too_long(live_server: LiveServer, key: str) -> None:
    for how in WAYS:
        path = f"/long?how={how}&length={LENGTH}&key={key}"
        responses = [
            live_server.client.fetch("HEAD", path),
            live_server.client.fetch("GET", f"{path}&status=204+No+Content"),
            live_server.client.fetch("GET", f"{path}&status=304+Not+Modified"),
        ]
        assert [(each.status, each.body) for each in responses] == [
            (200, b""),
            (204, b""),
            (304, b""),
        ]
    assert "sent more than" not in live_server.log()


def test_the_next_request_on_the_connection_is_answered(http1_server: LiveServer, key: str) -> None:
    long = f"GET /long?how=chunks&length={LENGTH}&key={key} HTTP/1.1\r\nhost: x\r\n\r\n"
    last = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

    data = exchange_raw(http1_server.port, (long * 2 + last).encode())

    bodies = [response.body for response in split_responses(data, ["GET"] * 3)]
    assert bodies == [BODY[:LENGTH], BODY[:LENGTH], b"ready"]


@pytest.mark.parametrize("how", WARNS)
def test_with_strict_it_is_an_error(servers: Servers, key: str, how: str) -> None:
    running = servers.get("uvicorn-h11", env=options(threads=THREADS, strict=True))
    live_server = LiveServer.of(running)
    path = f"/long?how={how}&length={LENGTH}&key={key}"

    if how in ("list", "parts", "closing-file"):  # the first bytes are too many already
        assert live_server.client.fetch("GET", path).status == 500
    else:
        with pytest.raises(Aborted):
            live_server.client.fetch("GET", path)

    log = live_server.log(wait_for="AppProtocolError: the body")
    assert log.count("AppProtocolError: the body") == 1

"""P17: every error is logged exactly once with its traceback, and ``wsgi.errors`` is stderr.

Seen at a2wsgi #3, #13 and #77. ``tests/servers/test_to_asgi_errors.py`` tests every kind of error
on every server.
"""

from __future__ import annotations

import pytest

from tests.conftest import LiveServer
from tests.harness.control import Control
from tests.servers.test_to_asgi_errors import tracebacks


@pytest.mark.parametrize("path", ["/error", "/error/after-head", "/error/first-chunk"])
def test_an_exception_is_logged_with_one_traceback_into_the_app(
    live_server: LiveServer, key: str, path: str
) -> None:
    assert live_server.client.fetch("GET", f"{path}?key={key}").status == 500

    log = live_server.log(wait_for=f"Boom: {key}")
    assert tracebacks(log, f"Boom: {key}") == 1
    assert log.count("Traceback (most recent call last)") == 1
    assert "wsgi_errors.py" in log


def test_ordinary_requests_log_no_error(
    live_server: LiveServer, control: Control, key: str
) -> None:
    live_server.client.fetch("GET", "/echo")
    live_server.client.fetch("POST", "/upload", body=b"body")
    exchange = live_server.client.open("GET", f"/endless?key={key}")
    exchange.chunk()
    exchange.disconnect()
    control.expect(key, "closed")

    log = live_server.log()
    assert "Traceback" not in log
    assert "error" not in log.lower()


def test_wsgi_errors_is_stderr(live_server: LiveServer, key: str) -> None:
    live_server.client.fetch("GET", f"/errors-stream?key={key}")

    expected = f"to wsgi.errors: {key}\na line\nanother\n"
    assert expected in live_server.log(wait_for=expected)

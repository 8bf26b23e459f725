"""P17: every error is logged exactly once with its traceback, and ``wsgi.errors`` is stderr.

Seen at a2wsgi #3, #13 and #77. ``tests/servers/test_to_asgi_errors.py`` has every kind of error on
every server; this is the promise itself, and that ordinary life logs nothing.
"""

from __future__ import annotations

import pytest

from tests.conftest import Site
from tests.harness.control import Control
from tests.servers.test_to_asgi_errors import tracebacks


@pytest.mark.parametrize("path", ["/error", "/error/after-head", "/error/first-chunk"])
def test_an_error_has_one_traceback_that_leads_into_the_app(
    site: Site, key: str, path: str
) -> None:
    assert site.client.fetch("GET", f"{path}?key={key}").status == 500

    log = site.log(having=f"Boom: {key}")
    assert tracebacks(log, f"Boom: {key}") == 1
    assert log.count("Traceback (most recent call last)") == 1
    assert "wsgi_errors.py" in log


def test_ordinary_requests_log_no_error(site: Site, control: Control, key: str) -> None:
    site.client.fetch("GET", "/echo")
    site.client.fetch("POST", "/upload", body=b"body")
    exchange = site.client.open("GET", f"/endless?key={key}")
    exchange.chunk()
    exchange.leave()
    control.expect(key, "closed")

    log = site.log()
    assert "Traceback" not in log
    assert "error" not in log.lower()


def test_wsgi_errors_is_stderr(site: Site, key: str) -> None:
    site.client.fetch("GET", f"/errors-stream?key={key}")

    expected = f"to wsgi.errors: {key}\na line\nanother\n"
    assert expected in site.log(having=expected)

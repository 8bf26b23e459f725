"""P5: PEP 3333 on every server.

Seen at hypercorn #331 and #320, a2wsgi #42: the head is sent in ``start_response``, ``write()`` is
missing, ``[]`` sends nothing, ``close()`` is not called. Every route but one is wrapped in
``wsgiref.validate.validator``, which also reports an unclosed iterator on stderr.
"""

from __future__ import annotations

import pytest

from tests.conftest import LiveServer
from tests.harness.control import Control


def test_the_head_is_not_sent_before_the_body(live_server: LiveServer) -> None:
    """``exc_info`` can replace the head until the first non-empty chunk."""
    response = live_server.client.fetch("GET", "/replace/lazy")

    assert (response.status, response.body) == (503, b"an error page")


def test_write_works(live_server: LiveServer) -> None:
    assert live_server.client.fetch("GET", "/write").body == b"written twice and returned"


@pytest.mark.parametrize("path", ["/empty-list", "/lazy/empty"])
def test_a_response_without_a_body_is_sent(live_server: LiveServer, path: str) -> None:
    response = live_server.client.fetch("GET", path)

    assert response.status in (200, 202)
    assert response.body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_called_once(
    live_server: LiveServer, control: Control, key: str, method: str
) -> None:
    live_server.client.fetch(method, f"/head?key={key}")

    assert len(control.expect(key, "closed")) == 1


def test_the_validator_reports_no_error(live_server: LiveServer) -> None:
    for path in ("/", "/echo", "/lazy", "/write", "/headers", "/empty-chunks"):
        assert live_server.client.fetch("GET", path).status < 300

    assert "AssertionError" not in live_server.log()
    assert "garbage collected without being closed" not in live_server.log()

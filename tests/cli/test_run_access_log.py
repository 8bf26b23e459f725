"""A client cannot write lines of its own into the access log, nor control the terminal."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.cli.running import SERVERS, client_of, running

CONTROLS = "\r\n\x1b\x07\x85\x9b\u2028\u202e"
WITH_ACCESS_LOG = [name for name in SERVERS if name != "waitress"]


@pytest.mark.parametrize("server", WITH_ACCESS_LOG)
def test_the_access_log_shows_a_request_in_one_line(server: str) -> None:
    fields = [("user-agent", "a\x9bb"), ("referer", "c\x85d")]
    with running(server, "flask_site:app") as site:
        start = site.log_size()
        client_of(site).fetch("GET", f"/{quote(CONTROLS)}%20forged", fields)
        log = site.wait_for_log("forged")[start:]

    [line] = [line for line in log.split("\n") if "forged" in line]
    assert "GET /" in line
    assert {each for each in CONTROLS if each in log} <= {"\n"}

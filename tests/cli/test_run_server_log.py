"""A client cannot write lines of its own into a server's log, nor control the terminal."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.running import SERVERS, client_of, running

CONTROLS = "\r\n\x1b\x07\x85\x9b\u2028\u202e"
AS_LATIN_1 = [each.encode().decode("latin-1") for each in CONTROLS if each > "\x7f"]
TARGET = f"/{quote(CONTROLS)}%20forged"
FIELDS = [("user-agent", "a\x9bb"), ("referer", "c\x85d")]
FAILING = """
def app(environ, start_response):
    if environ["PATH_INFO"] != "/":
        raise RuntimeError("the mast broke")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def check_log(log: str) -> None:
    for line in log.split("\n"):
        if "forged" in line:
            assert "/" in line
            assert line.isprintable()
    assert {each for each in CONTROLS if each in log} <= {"\n"}
    assert [each for each in AS_LATIN_1 if each in log] == []


@pytest.mark.parametrize("server", [name for name in SERVERS if name != "waitress"])
def test_the_access_log_shows_a_request_in_one_line(server: str) -> None:
    with running(server, "flask_site:app") as site:
        start = site.log_size()
        client_of(site).fetch("GET", TARGET, FIELDS)
        check_log(site.wait_for_log("forged")[start:])


@pytest.mark.parametrize("server", SERVERS)
def test_the_log_of_an_error_shows_its_request_in_one_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    with running(server, "failing:app", cwd=tmp_path) as site:
        start = site.log_size()
        client_of(site).fetch("GET", TARGET)
        site.wait_for_log("RuntimeError: the mast broke")
        check_log(site.wait_for_log("forged")[start:])

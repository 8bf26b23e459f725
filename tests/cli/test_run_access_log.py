"""``bridge run --access-log``: one line for each request, the same on every server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import APPS, SERVERS, client_of, running
from tests.harness.servers import Server

LOGGING_APP = """
import logging.config

logging.config.dictConfig({
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
})

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def lines_of(site: Server, marker: str) -> list[str]:
    """All lines about requests with this path. Ends the server: a request is logged after its
    response, maybe after a later one on another thread.
    """
    site.wait_for_log(marker)
    site.terminate()
    return [line for line in site.log().split("\n") if marker in line]


@pytest.mark.parametrize("server", SERVERS)
def test_there_is_one_line_for_each_request(server: str) -> None:
    with running(server, "flask_site:app", "--access-log", "text", "--request-id") as site:
        response = client_of(site).fetch("GET", "/marked%0Apath?token=secret")
        own = response.header("x-request-id")
        [line] = lines_of(site, "marked")

    assert f"127.0.0.1 GET '/marked\\npath' {response.status} total=" in line
    assert line.endswith(f" out={len(response.body)} id={own}")
    assert "secret" not in line


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_a_line_can_be_json(server: str) -> None:
    args = ("--access-log", "json", "--log-level", "error", "--root-path", "/shop")
    with running(server, "flask_site:app", *args) as site:
        response = client_of(site).fetch("GET", "/shop/marked")
        [line] = lines_of(site, "marked")

    logged = json.loads(line)
    assert (logged["path"], logged["status"]) == ("/shop/marked", response.status)
    assert logged["request_id"] is None
    assert response.header("x-request-id") is None


def test_the_access_log_can_be_off() -> None:
    args = ("--access-log", "off", "--request-start", "--server-timing")
    with running("uvicorn", "flask_site:app", *args) as site:
        response = client_of(site).fetch("GET", "/marked")
        client_of(site).fetch("GET", "/marked")
        site.terminate()
        assert "marked" not in site.log()

    assert "total;dur=" in (response.header("server-timing") or "")


def test_the_logging_of_the_app_neither_ends_nor_repeats_the_access_log(tmp_path: Path) -> None:
    (tmp_path / "logging_app.py").write_text(LOGGING_APP)
    with running("gunicorn", "logging_app:app", "--access-log", "text", cwd=tmp_path) as site:
        client_of(site).fetch("GET", "/marked")
        assert len(lines_of(site, "marked")) == 1


def test_another_format_is_refused() -> None:
    command = [sys.executable, "-m", "bridge", "run", "flask_site:app", "--access-log", "xml"]
    done = subprocess.run(
        command, cwd=APPS, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "'xml' is not one of 'text', 'json', 'off'" in done.stderr

"""The same object on the WSGI servers that the other tests do not cover: granian's, Werkzeug's
(``flask run``) and Python's own."""

from __future__ import annotations

import httpx
import pytest

from tests.harness.servers import serve
from tests.harness.wsgi_servers import WSGI

TIMEOUT_S = 30.0


@pytest.mark.parametrize("name", ["granian-wsgi", "werkzeug", "wsgiref"])
def test_a_wsgi_server_calls_it_as_wsgi(name: str) -> None:
    with (
        serve(WSGI[name].spec, "tests.apps.router_lifespans:app") as server,
        httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client,
    ):
        assert client.get("/", headers={"connection": "close"}).text == "site at "
        answer = client.get("/two/", headers={"connection": "close"})

    assert answer.json() == {"root_path": "/two", "state": {"two": "up"}}

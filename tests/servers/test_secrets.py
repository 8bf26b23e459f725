"""Error reports print a header of the request no more often than on a WSGI server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import LiveServer, Servers

TARGET = "tests.apps.wsgi_reports"
SECRETS = {
    "cookie": "id=secret-cookie",
    "authorization": "Bearer secret-token",
    "x-key": "secret-x",
}


@pytest.fixture(scope="module", params=["0", "1"], ids=["DEBUG=False", "DEBUG=True"])
def pair(request: pytest.FixtureRequest, servers: Servers) -> Iterator[dict[str, LiveServer]]:
    """The apps on gunicorn, and through ``to_asgi`` on uvicorn."""
    env = {"BRIDGE_TEST_DEBUG": request.param}
    pair = {
        "wsgi": LiveServer.of(servers.get("gunicorn-gthread", f"{TARGET}:wsgi", env=env)),
        "bridge": LiveServer.of(servers.get("uvicorn-h11", f"{TARGET}:app", env=env)),
    }
    yield pair
    for live_server in pair.values():
        live_server.client.close()


def printed(live_server: LiveServer, path: str, then: str | None = None) -> dict[str, int]:
    """How often each secret is in the response; in that of the path ``then``, if it is given."""
    response = live_server.client.fetch("GET", path, headers=[*SECRETS.items()])
    if then is not None:
        response = live_server.client.fetch("GET", then)
    text = response.body.decode()
    assert "LookupError" in text or path == "/environ", text
    return {name: text.count(value) for name, value in SECRETS.items()}


@pytest.mark.parametrize(
    ("path", "then"),
    [("/environ", None), ("/flask", None), ("/django", "/mail")],
    ids=["repr", "Werkzeug's debugger", "Django's mail"],
)
def test_a_report_prints_headers_as_often_as_on_a_wsgi_server(
    pair: dict[str, LiveServer], path: str, then: str | None
) -> None:
    native = printed(pair["wsgi"], path, then)

    assert printed(pair["bridge"], path, then) == native


def test_djangos_page_prints_headers_as_often_as_on_a_wsgi_server(
    pair: dict[str, LiveServer],
) -> None:
    pages = {
        name: live_server.client.fetch("GET", "/django", headers=[*SECRETS.items()]).body.decode()
        for name, live_server in pair.items()
    }

    for value in SECRETS.values():
        assert pages["bridge"].count(value) == pages["wsgi"].count(value)

"""P11: cookies are joined with ``; ``, ``x_user`` is not ``X-User``, repeated headers take linear
time and are limited.

Seen at granian #678, asgiref #420, CVE-2025-14550.
"""

from __future__ import annotations

import bridge
from tests.apps import wsgi_conformance
from tests.conftest import LiveServer
from tests.harness.asgi import call, http_scope, raw_headers


def test_cookies_join_with_semicolon_on_the_wire(live_server: LiveServer) -> None:
    fields = [("cookie", "session=1"), ("cookie", "theme=dark")]

    environ = live_server.client.fetch("GET", "/echo", fields).json()["environ"]

    assert environ["HTTP_COOKIE"] == "session=1; theme=dark"


def test_a_forged_header_with_an_underscore_is_dropped(live_server: LiveServer) -> None:
    for order in (["x-user", "x_user"], ["x_user", "x-user"]):
        fields = [(name, "true" if "-" in name else "forged") for name in order]

        environ = live_server.client.fetch("GET", "/echo", fields).json()["environ"]

        assert environ["HTTP_X_USER"] == "true"


def test_too_many_headers_of_one_name_are_refused(http1_server: LiveServer) -> None:
    """Servers have their own limits and statuses: 400 or 431."""
    response = http1_server.client.fetch("GET", "/echo", [("x-many", "a")] * 101)

    assert response.status in (400, 431)


def test_joining_repeated_headers_takes_linear_time() -> None:
    """Joining 50,000 values one by one would copy 13 GB; the result has half a MB."""
    headers = raw_headers(*[("x-many", "v" * 10)] * 50_000)
    with bridge.WorkerPool(1) as pool:
        app = bridge.to_asgi(wsgi_conformance.app, executor=pool, duplicate_header_limit=50_000)

        environ = call(app, http_scope(path="/echo", headers=headers)).json()["environ"]

    assert environ["HTTP_X_MANY"] == ",".join(["v" * 10] * 50_000)

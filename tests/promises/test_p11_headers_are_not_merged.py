"""P11: cookies join with ``; ``, ``x_user`` is not ``X-User``, repeated fields cost linear time and
are limited. Seen at granian #678, asgiref #420, CVE-2025-14550.
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


def test_a_spoofed_twin_with_an_underscore_never_arrives(live_server: LiveServer) -> None:
    for order in (["x-user", "x_user"], ["x_user", "x-user"]):
        fields = [(name, "true" if "-" in name else "forged") for name in order]

        environ = live_server.client.fetch("GET", "/echo", fields).json()["environ"]

        assert environ["HTTP_X_USER"] == "true"


def test_too_many_lines_of_one_field_are_refused(http1_server: LiveServer) -> None:
    """Servers have limits of their own, with codes of their own: 400 or 431."""
    response = http1_server.client.fetch("GET", "/echo", [("x-many", "a")] * 101)

    assert response.status in (400, 431)


def test_joining_repeated_fields_is_linear() -> None:
    """50,000 values joined pair by pair would copy 13 GB; joined at once they are half a MB."""
    headers = raw_headers(*[("x-many", "v" * 10)] * 50_000)
    with bridge.WorkerPool(1) as pool:
        app = bridge.to_asgi(wsgi_conformance.app, executor=pool, duplicate_header_limit=50_000)

        environ = call(app, http_scope(path="/echo", headers=headers)).json()["environ"]

    assert environ["HTTP_X_MANY"] == ",".join(["v" * 10] * 50_000)

"""P26: context variables are shared between server and app, and not with the next request.

Seen at a2wsgi #31 and asgiref #71. ``tests/conformance/test_context.py`` tests the details.
"""

from __future__ import annotations

from tests.conftest import THREADS, LiveServer


def test_variables_do_not_leak_into_other_requests(live_server: LiveServer) -> None:
    seen = [
        live_server.client.fetch("GET", f"/context?set=user-{number}").json()["before"]
        for number in range(3 * THREADS)
    ]

    assert seen == ["-"] * 3 * THREADS

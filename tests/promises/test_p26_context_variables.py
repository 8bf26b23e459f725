"""P26: context variables cross in and out, and never into the next request.

Seen at a2wsgi #31 and asgiref #71. ``tests/conformance/test_context.py`` has the details.
"""

from __future__ import annotations

from tests.conftest import THREADS, LiveServer


def test_no_request_sees_what_another_has_set(live_server: LiveServer) -> None:
    seen = [
        live_server.client.fetch("GET", f"/context?set=user-{number}").json()["before"]
        for number in range(3 * THREADS)
    ]

    assert seen == ["-"] * 3 * THREADS

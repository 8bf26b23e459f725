"""P26: context variables cross in and out, and never into the next request.

Seen at a2wsgi #31 and asgiref #71. ``tests/conformance/test_context.py`` has the details.
"""

from __future__ import annotations

from tests.conftest import THREADS, Site


def test_no_request_sees_what_another_has_set(site: Site) -> None:
    seen = [
        site.client.fetch("GET", f"/context?set=user-{number}").json()["before"]
        for number in range(3 * THREADS)
    ]

    assert seen == ["-"] * 3 * THREADS

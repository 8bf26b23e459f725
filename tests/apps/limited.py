"""A site with slow pages and limits for them, in a Router; for servers of both kinds.

``/hold``, ``/reports/...`` and ``/bulk/...`` wait at the gate ``hold`` of ``?key=``. ``/reports``
has one of the three threads, ``/bulk`` is an app with one thread of its own, and ``/healthz`` has
one that is reserved for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qs

import bridge
from bridge.types import Environ, StartResponse
from tests.harness.control import gate

THREADS = 3
BACKLOG = 2


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The page, after the gate if the request has a key."""
    key = parse_qs(environ["QUERY_STRING"]).get("key")
    if key:
        gate(key[0], "hold")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode(), environ["PATH_INFO"].encode()]


app = bridge.Router(
    {"/": site, "/bulk": bridge.Mount(site, threads=1, backlog=1)},
    threads=THREADS,
    backlog=BACKLOG,
    limits={
        "/reports": bridge.Limit(threads=1, backlog=1),
        "/healthz": bridge.Limit(threads=1, reserved=True),
    },
)

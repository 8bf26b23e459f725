"""A Router with `metrics_app` in it, and a counter of the app itself."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter

import bridge
from bridge.metrics import measure, metrics_app
from bridge.types import Environ, StartResponse

VISITS = Counter("visits", "Requests to the pages")


def pages(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``/work`` takes a few milliseconds."""
    if environ["PATH_INFO"] == "/work":
        time.sleep(0.003)  # stands for a database query
    VISITS.inc()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


app = bridge.Router({"/": measure(pages), "/metrics": metrics_app()})

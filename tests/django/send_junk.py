"""Run as a script: sends junk requests to a Django project.

Input: a marker and a kind of junk, as arguments. Output: how many of the requests Django's ASGI
handler has served, how many its WSGI handler, and what the process has kept of all of them: see
:mod:`tests.harness.memory`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from typing import Any

from bridge.contrib.django.handlers import AsgiSide, WsgiSide
from tests.django.project import app
from tests.harness.junk import MOST, send_junk
from tests.harness.memory import held_at_rest

PATHS = ("/sync/", "/spa/", "/sync/", "/async/")
"""Of a sync view, of an async one that catches all paths below, and of no view."""


def main() -> None:
    marker, kind = sys.argv[1:]
    logging.disable()  # Django's lines about pages that do not exist
    served: Counter[str] = Counter()
    for handler in (AsgiSide, WsgiSide):
        _count(handler, served)
    asyncio.run(send_junk(app, marker, kind, PATHS))
    print(json.dumps({**served, "size": held_at_rest(marker, MOST).size}))


def _count(handler: Any, served: Counter[str]) -> None:
    inner = handler.resolve_request

    def resolve_request(self: Any, request: Any) -> Any:
        served[handler.__name__] += 1
        return inner(self, request)

    handler.resolve_request = resolve_request


if __name__ == "__main__":
    main()

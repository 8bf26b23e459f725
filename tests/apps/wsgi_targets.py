"""What the servers are pointed at: the conformance apps through ``bridge.to_asgi``.

What enters: ``BRIDGE_TEST_OPTIONS``, a JSON object of the adapter's options. What leaves: ``app``,
and the same app mounted in other frameworks' ways.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import bridge
from bridge.types import Environ, StartResponse
from tests.apps import wsgi_conformance, wsgi_faulty

OPTIONS: dict[str, Any] = json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}"))


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Both conformance apps as one."""
    faulty = environ["PATH_INFO"].startswith("/faulty/")
    chosen = wsgi_faulty.app if faulty else wsgi_conformance.app
    return chosen(environ, start_response)


app = bridge.to_asgi(wsgi, **OPTIONS)

"""The target for the ASGI servers: the WSGI conformance apps behind ``bridge.to_asgi``.

``BRIDGE_TEST_OPTIONS`` is a JSON object of options of the adapter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import bridge
from bridge.types import Environ, StartResponse
from tests.apps import wsgi_conformance, wsgi_faulty
from tests.harness import every_line  # noqa: F401 (imported for its effect)

OPTIONS: dict[str, Any] = json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}"))


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The conformance app, and the faulty apps below ``/faulty``."""
    faulty = environ["PATH_INFO"].startswith("/faulty/")
    chosen = wsgi_faulty.app if faulty else wsgi_conformance.app
    return chosen(environ, start_response)


app = bridge.to_asgi(wsgi, **OPTIONS)

"""A WSGI app with a route for everything that PEP 3333 allows an app to do.

Input: an environ, whose query string has the parameters. Output: responses, and reports to the test
through ``tests.harness.control``. Every route is wrapped in ``wsgiref.validate.validator``, except
those that use what the validator forbids against the PEP or common practice: ``read()`` without a
size, and returning ``wsgi.file_wrapper`` to the server.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge.types import Environ, StartResponse
from tests.apps import (  # noqa: F401 (imported for their routes)
    wsgi_errors,
    wsgi_files,
    wsgi_long,
    wsgi_responses,
    wsgi_streams,
    wsgi_uploads,
)
from tests.apps.wsgi_routes import PLAIN, as_json, dispatch, route, where

app = dispatch


@route("/")
def ready(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"ready"]


@route("/echo")
def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The str values of the environ as JSON, with facts about the other values."""
    strings = {key: value for key, value in environ.items() if type(value) is str}
    return as_json(
        start_response,
        {
            "environ": strings,
            "keys": sorted(environ),
            "wsgi.version": environ["wsgi.version"],
            "wsgi.multithread": environ["wsgi.multithread"],
            "wsgi.multiprocess": environ["wsgi.multiprocess"],
            "wsgi.run_once": environ["wsgi.run_once"],
            "wsgi.input_terminated": environ.get("wsgi.input_terminated"),
            "asgi.scope": environ.get("asgi.scope", {}).get("type"),
            **where(),
        },
    )

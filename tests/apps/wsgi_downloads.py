"""Downloads of the file ``BRIDGE_TEST_FILE`` with each framework, behind one ``bridge.to_asgi``.

``/flask`` and ``/bottle`` send ranges of it; ``/werkzeug`` sends ranges of a pipe with its first
bytes; ``/django/download`` sends all of it. ``/django/deleted`` and ``/deleted`` send the file
``path`` and delete it in ``close()``. ``/generated`` sends the first bytes of it as a generator.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bottle  # type: ignore[import-untyped]  # has no types
import flask
from werkzeug.wrappers import Response
from werkzeug.wsgi import wrap_file

import bridge
from bridge.types import Environ, StartResponse
from tests.apps import wsgi_django
from tests.apps.wsgi_routes import PLAIN, not_found, query

PATH = os.environ["BRIDGE_TEST_FILE"]
PIPED = 300_000
"""How many bytes of the file are sent through a pipe."""
GENERATED = 12_000_000
"""And by the generator: more than what a server and the sockets of a connection hold."""

flask_app = flask.Flask(__name__)
bottle_app = bottle.Bottle()


@flask_app.get("/flask")
def flask_file() -> flask.Response:
    return flask.send_file(PATH)


@bottle_app.get("/bottle")  # type: ignore[untyped-decorator]
def bottle_file() -> Any:
    folder, name = os.path.split(PATH)
    return bottle.static_file(name, folder)


def piped_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file that cannot seek, though Werkzeug is asked for a range of it."""
    read, write = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(PATH, "rb") as file, os.fdopen(write, "wb") as pipe:
            pipe.write(file.read(PIPED))

    threading.Thread(target=feed).start()
    wrapped = wrap_file(environ, os.fdopen(read, "rb"))
    response = Response(wrapped, content_type="text/plain", direct_passthrough=True)
    response.make_conditional(environ, accept_ranges=True, complete_length=PIPED)
    return response(environ, start_response)


def deleted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = Path(query(environ)["path"])
    wrapped: Any = environ["wsgi.file_wrapper"](path.open("rb"))
    close = wrapped.close

    def delete() -> None:
        close()
        path.unlink()

    wrapped.close = delete
    start_response("200 OK", PLAIN)
    result: Iterable[bytes] = wrapped
    return result


def generated(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    with open(PATH, "rb") as file:
        for _ in range(GENERATED // 4000):
            yield file.read(4000)


ROUTES: dict[str, Any] = {
    "/flask": flask_app,
    "/bottle": bottle_app,
    "/werkzeug": piped_file,
    "/deleted": deleted,
    "/generated": generated,
}


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    chosen = ROUTES.get(path, not_found)
    if path.startswith("/django/"):
        environ["PATH_INFO"] = path.removeprefix("/django")
        chosen = wsgi_django.app
    response: Iterable[bytes] = chosen(environ, start_response)
    return response


app = bridge.to_asgi(wsgi, **json.loads(os.environ.get("BRIDGE_TEST_OPTIONS", "{}")))

"""The Harbour Office: a small, ordinary Flask project.

Nothing in this package knows about ASGI, except the line at the foot of each page that tells you
how the request came in. `wsgi.py` serves it the way Flask projects always were; `asgi.py` puts the
bridge in front.

Settings come from the environment with Flask's own prefix: ``FLASK_DATA_DIR`` (where the log book
and the uploaded files live), ``FLASK_SECRET_KEY``, ``FLASK_SHOP_URL`` and ``FLASK_ROOM_URL``
(add links to the shop, and to the control room of `../mixed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from harbour import cargo, errors, live, logbook, pages, tides
from harbour.crossing import crossing_of
from harbour.live import Board
from harbour.logbook import LogBook

LOOK = Path(__file__).resolve().parents[2] / "look"  # the stylesheet shared by all the examples
MAX_UPLOAD_BYTES = 4 * 1024**3


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app: settings, storage, pages.

    :param config: settings that win over the environment's.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY="only for a demo: set FLASK_SECRET_KEY",
        DATA_DIR=app.instance_path,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        SHOP_URL="",
        ROOM_URL="",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    _open_storage(app)
    for part in (pages, logbook, live, cargo, tides):
        app.register_blueprint(part.blueprint)
    app.register_blueprint(Blueprint("look", __name__, static_folder=LOOK, static_url_path="/look"))
    errors.register(app)
    app.before_request(_note_the_crossing)
    app.after_request(_only_our_own_resources)
    return app


def _open_storage(app: Flask) -> None:
    data = Path(app.config["DATA_DIR"])
    data.mkdir(parents=True, exist_ok=True)
    app.extensions["board"] = Board()
    app.extensions["logbook"] = LogBook(data / "logbook.sqlite3")
    app.extensions["hold"] = cargo.Hold(data / "cargo")


def _note_the_crossing() -> None:
    """Before the view, so that the thread is the worker's, also where the view is a coroutine."""
    g.crossing = crossing_of(request.environ)


def _only_our_own_resources(response: Response) -> Response:
    """Let the browser itself make sure that no page loads anything from elsewhere."""
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
    return response

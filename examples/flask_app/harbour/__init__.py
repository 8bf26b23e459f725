"""The Harbour Office: a small, ordinary Flask project.

Nothing in this package depends on ASGI, except the line at the foot of each page that shows how the
request reached the app. `wsgi.py` is the WSGI entry point; `asgi.py` wraps the app with bridge.

Settings come from environment variables with Flask's prefix: ``FLASK_DATA_DIR`` (the folder of the
log book and the uploaded files), ``FLASK_SECRET_KEY``, ``FLASK_SHOP_URL`` and ``FLASK_ROOM_URL``
(add links to the shop, and to the control room of `../mixed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from harbour import cargo, errors, live, logbook, pages, tides
from harbour.live import Board
from harbour.logbook import LogBook
from harbour.trace import trace_of

THEME = Path(__file__).resolve().parents[2] / "theme"  # the stylesheet shared by all the examples
MAX_UPLOAD_BYTES = 4 * 1024**3


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Create the app: settings, storage, pages.

    :param config: settings that override those of the environment.
    """
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY="for demos only: set FLASK_SECRET_KEY",
        DATA_DIR=app.instance_path,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        SHOP_URL="",
        ROOM_URL="",
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config or {})
    _open_storage(app)
    for module in (pages, logbook, live, cargo, tides):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(
        Blueprint("theme", __name__, static_folder=THEME, static_url_path="/theme")
    )
    errors.register(app)
    app.before_request(_record_trace)
    app.after_request(_set_content_security_policy)
    return app


def _open_storage(app: Flask) -> None:
    data = Path(app.config["DATA_DIR"])
    data.mkdir(parents=True, exist_ok=True)
    app.extensions["board"] = Board()
    app.extensions["logbook"] = LogBook(data / "logbook.sqlite3")
    app.extensions["hold"] = cargo.Hold(data / "cargo")


def _record_trace() -> None:
    """Runs before the view, so it records the worker thread even if the view is a coroutine."""
    g.trace = trace_of(request.environ)


def _set_content_security_policy(response: Response) -> Response:
    """Let the browser enforce that no page loads anything from another host."""
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
    return response

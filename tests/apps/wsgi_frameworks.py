"""WSGI frameworks, each mounted below its name, behind one ``bridge.to_asgi``.

``/flask``, ``/django``, ``/falcon``, ``/bottle`` and ``/pyramid``. Each framework gets its mount
point as SCRIPT_NAME.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any
from wsgiref.util import shift_path_info

import bottle  # type: ignore[import-untyped]  # has no types
import falcon
import flask

import bridge
from bridge.types import Environ, StartResponse, WsgiApp
from tests.apps import wsgi_django
from tests.apps.wsgi_routes import not_found
from tests.harness import control

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Pyramid 2.1 imports the deprecated pkg_resources
    from pyramid.config import Configurator  # type: ignore[import-untyped]  # has no types
    from pyramid.response import (  # type: ignore[import-untyped]  # has no types
        Response as PyramidResponse,
    )


# Flask ---------------------------------------------------------------------------------------

flask_app = flask.Flask(__name__)
flask_app.secret_key = "only-for-tests"


@flask_app.get("/hello")
def hello() -> str:
    return f"Hello from Flask at {flask.url_for('hello')}"


@flask_app.get("/async")
async def async_view() -> str:
    import asyncio

    await asyncio.sleep(0)
    return f"an async view on {type(asyncio.get_running_loop()).__module__}"


@flask_app.post("/upload")
def upload() -> dict[str, Any]:
    """Werkzeug parses the upload into a temporary file."""
    uploaded = flask.request.files["file"]
    content = uploaded.read()
    note = flask.request.form["note"]
    return {"name": uploaded.filename, "size": len(content), "note": note}


@flask_app.get("/stream")
def stream() -> flask.Response:
    key = flask.request.args["key"]

    def chunks() -> Iterator[str]:
        for number in range(3):
            control.gate(key, "chunk")
            yield f"chunk {number} for {flask.request.path};"

    return flask.Response(flask.stream_with_context(chunks()), content_type="text/plain")


@flask_app.get("/count")
def count() -> dict[str, int]:
    flask.session["count"] = flask.session.get("count", 0) + 1
    return {"count": flask.session["count"]}


@flask_app.get("/download")
def download() -> flask.Response:
    return flask.send_file(BytesIO(b"0123456789" * 100_000), download_name="digits.txt")


@flask_app.get("/error")
def error() -> str:
    raise LookupError(flask.request.args["key"])


# Falcon, Bottle, Pyramid ---------------------------------------------------------------------


class FalconHello:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = f"Hello from Falcon at {request.prefix and request.root_path}/hello"

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = {"received": request.media}


falcon_app = falcon.App()
falcon_app.add_route("/hello", FalconHello())

bottle_app = bottle.Bottle()


@bottle_app.get("/hello")  # type: ignore[untyped-decorator]  # bottle has no types
def bottle_hello() -> str:
    return f"Hello from Bottle at {bottle.request.script_name}hello"


@bottle_app.post("/hello")  # type: ignore[untyped-decorator]  # bottle has no types
def bottle_form() -> dict[str, str]:
    return {"received": bottle.request.forms.name}


def pyramid_hello(request: Any) -> Any:
    return PyramidResponse(f"Hello from Pyramid at {request.route_path('hello')}")


def make_pyramid() -> WsgiApp:
    with Configurator() as config:
        config.add_route("hello", "/hello")
        config.add_view(pyramid_hello, route_name="hello")
        app: WsgiApp = config.make_wsgi_app()
        return app


MOUNTS: dict[str, Any] = {
    "flask": flask_app,
    "django": wsgi_django.app,
    "falcon": falcon_app,
    "bottle": bottle_app,
    "pyramid": make_pyramid(),
}


def wsgi(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Call the framework named by the first segment of the path."""
    mounted = MOUNTS.get(shift_path_info(environ) or "", not_found)
    body: Iterable[bytes] = mounted(environ, start_response)
    return body


app = bridge.to_asgi(wsgi, threads=4)

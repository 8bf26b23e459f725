"""Apps without a line of OpenTelemetry's set-up, for the command ``opentelemetry-instrument``.

``asgi`` and ``wsgi`` are a crossing each, in a span of OpenTelemetry's own middleware. ``app`` has
none around it.
"""

from __future__ import annotations

import flask
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiMiddleware
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware

import bridge

app = flask.Flask(__name__)
fastapi_app = FastAPI()


@app.get("/view")
def flask_view() -> str:
    return "done"


@fastapi_app.get("/view")
async def fastapi_view() -> str:
    return "done"


asgi = AsgiMiddleware(bridge.to_asgi(app), exclude_spans=["receive", "send"])
wsgi = WsgiMiddleware(bridge.to_wsgi(fastapi_app))

"""The Flask app of the cookbook's recipe for OpenTelemetry, and a page of the spans."""

from a2wsgi import WSGIMiddleware
from flask import request
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from otel_flask import app, flask_app, inside
from recorded_otel import recording

__all__ = ["app", "flask_app", "inside", "inside_a2wsgi"]


@flask_app.get("/recorded")
def recorded():
    return recording.page(int(request.args["count"]))


inside_a2wsgi = OpenTelemetryMiddleware(
    WSGIMiddleware(flask_app), exclude_spans=["receive", "send"]
)

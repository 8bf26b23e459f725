"""The FastAPI app of the cookbook's recipe for OpenTelemetry, and a page of the spans."""

from fastapi.responses import PlainTextResponse
from otel_fastapi import app, fastapi_app
from recorded_otel import recording

__all__ = ["app", "fastapi_app"]


@fastapi_app.get("/recorded", response_class=PlainTextResponse)
def recorded(count: int):
    return recording.page(count)

"""The FastAPI app of the cookbook's recipe for Sentry, and a page of what was reported."""

from fastapi.responses import PlainTextResponse
from recorded_sentry import recording
from sentry_fastapi import app, fastapi_app

__all__ = ["app", "fastapi_app"]


@fastapi_app.get("/recorded", response_class=PlainTextResponse)
def recorded(count: int):
    return recording.page(count)

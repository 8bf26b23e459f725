"""The Flask app of the cookbook's recipe for Sentry, and a page of what was reported."""

from flask import request
from recorded_sentry import recording
from sentry_flask import app, flask_app

__all__ = ["app", "flask_app"]


@flask_app.get("/recorded")
def recorded():
    return recording.page(int(request.args["count"]))

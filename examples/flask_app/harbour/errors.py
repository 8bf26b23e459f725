"""Errors that help: a page for people, JSON under ``/api`` and for scripts that ask for it.

An unhandled exception is logged by Flask, once, with its traceback; the page does not repeat it.
"""

from __future__ import annotations

from difflib import get_close_matches

from flask import Flask, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

# status: (title, what it means and what to do)
ADVICE = {
    400: ("That did not add up", "Something in the request is not as this page needs it."),
    404: ("Nothing moored here", "The address may have a typing error, or the page has moved."),
    405: ("Not like this", "The address is right, but not for this kind of request."),
    413: ("Too much cargo", "The file is larger than this server takes."),
    500: (
        "Something broke on our side",
        "It is our mistake, not yours. The traceback is in the server's log, once. Other pages go "
        "on working: the thread that met the error already waits for its next request.",
    ),
}


def register(app: Flask) -> None:
    """Answer every HTTP error, and every unhandled exception as 500, through :func:`show`."""
    app.register_error_handler(HTTPException, show)


def show(error: HTTPException) -> ResponseReturnValue:
    """One page for all errors: what happened, why, and where to go from here."""
    status = error.code or 500
    if error.response is not None:  # a redirect or a made-up response raised as an exception
        return error.response
    headers = {k: v for k, v in error.get_headers() if k.lower() == "allow"}
    if _wants_json():
        return jsonify(error=error.description, status=status), status, headers
    title, advice = ADVICE.get(status, (error.name, ""))
    detail = "" if status in (404, 500) else error.description
    near = _near_misses() if status == 404 else []
    html = render_template(
        "error.html", status=status, title=title, advice=advice, detail=detail, near=near
    )
    return html, status, headers


def _wants_json() -> bool:
    if request.path.startswith("/api/"):
        return True
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) != "text/html"


def _near_misses() -> list[str]:
    """Addresses of pages that look like the one asked for."""
    rules = current_app.url_map.iter_rules()
    pages = {rule.rule for rule in rules if "GET" in (rule.methods or ()) and not rule.arguments}
    return get_close_matches(request.path, sorted(pages - {request.path}), n=3, cutoff=0.5)

"""Error responses: a page for browsers, JSON under ``/api`` and for clients that accept only JSON.

Flask logs an unhandled exception once, with its traceback; the page does not show it.
"""

from __future__ import annotations

from difflib import get_close_matches

from flask import Flask, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

# status: (title, what it means and what to do)
ADVICE = {
    400: ("Bad request", "The page cannot use what the request contains."),
    404: ("Page not found", "The address may have a typo, or the page has moved."),
    405: ("Method not allowed", "This address exists, but does not accept this kind of request."),
    413: ("File too large", "The file is larger than this server accepts."),
    500: (
        "Internal server error",
        "The app failed. The traceback is in the server's log, once. Other pages still work: the "
        "thread that ran this request is ready for the next one.",
    ),
}


def register(app: Flask) -> None:
    """Answer HTTP errors, and unhandled exceptions as 500, with :func:`show`."""
    app.register_error_handler(HTTPException, show)


def show(error: HTTPException) -> ResponseReturnValue:
    """One page for all errors: what happened, why, and what to do next."""
    status = error.code or 500
    if error.response is not None:  # a redirect or another response raised as an exception
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
    """Paths of pages that are similar to the requested one."""
    rules = current_app.url_map.iter_rules()
    pages = {rule.rule for rule in rules if "GET" in (rule.methods or ()) and not rule.arguments}
    return get_close_matches(request.path, sorted(pages - {request.path}), n=3, cutoff=0.5)

"""Django by name: its WSGI handler reads request bodies without a Content-Length, where we run it.

Imports nothing of Django unless the app has.
"""

from __future__ import annotations

import sys

__all__ = ["read_chunked_bodies"]


def read_chunked_bodies(app: object) -> None:
    """Let ``app``, if it is Django's WSGI handler, read chunked request bodies.

    Otherwise it treats them as empty, unless they arrive in one message, whose length is known. A
    request class of the project's own is left alone, and so is a handler inside other middleware,
    where it cannot be seen.
    """
    if "django.core.handlers.wsgi" not in sys.modules:
        return
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

    from bridge._frameworks.django_request import StreamedRequest

    while isinstance(app, WSGIHandler):
        if app.request_class is WSGIRequest:
            app.request_class = StreamedRequest
        app = getattr(app, "application", None)  # inside StaticFilesHandler

"""Makes Django's WSGI handler read request bodies without a Content-Length, where bridge runs it.

Imports nothing of Django unless the app has imported it.
"""

from __future__ import annotations

import sys

__all__ = ["read_chunked_bodies"]


def read_chunked_bodies(app: object) -> None:
    """Make ``app`` read chunked request bodies, if it is Django's WSGI handler.

    Otherwise Django treats them as empty, except a body that arrives in one message, whose length
    is known. A custom request class is not replaced, and a handler inside other middleware cannot
    be found.
    """
    if "django.core.handlers.wsgi" not in sys.modules:
        return
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

    from bridge._frameworks.django_request import StreamedRequest

    while isinstance(app, WSGIHandler):
        if app.request_class is WSGIRequest:
            app.request_class = StreamedRequest
        app = getattr(app, "application", None)  # inside StaticFilesHandler

"""Django's own WSGI handler, as ``get_wsgi_application()`` makes it, where we run it.

What enters: any WSGI app. What leaves: the same one; Django's reads bodies without Content-Length
from then on. Where the adapter is made. Imports nothing of Django unless the app has.
"""

from __future__ import annotations

import sys

__all__ = ["read_unannounced_bodies"]


def read_unannounced_bodies(app: object) -> None:
    """Have ``app``, if it is Django's WSGI handler, read chunked request bodies, too.

    It takes them for empty otherwise, but for those that come in one packet: their length is known
    then. A request class of the project's own is left as it is, and so is a handler inside other
    middleware, where it cannot be seen.
    """
    if "django.core.handlers.wsgi" not in sys.modules:
        return
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

    from bridge._frameworks.django_request import StreamedRequest

    while isinstance(app, WSGIHandler):
        if app.request_class is WSGIRequest:
            app.request_class = StreamedRequest
        app = getattr(app, "application", None)  # inside StaticFilesHandler

"""What bridge does for Django's own WSGI handler, where it runs one.

Imports nothing of Django unless the app has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

__all__ = ["handlers_within", "read_chunked_bodies", "release_connections"]


def handlers_within(app: object) -> Iterator[WSGIHandler]:
    """Django's WSGI handlers: ``app``, if it is one, and the one inside ``StaticFilesHandler``.

    A handler inside other middleware cannot be found.
    """
    if "django.core.handlers.wsgi" not in sys.modules:
        return
    from django.core.handlers.wsgi import WSGIHandler

    while isinstance(app, WSGIHandler):
        yield app
        app = getattr(app, "application", None)


def read_chunked_bodies(app: object) -> None:
    """Make ``app`` read chunked request bodies, if it is Django's WSGI handler.

    Otherwise Django treats them as empty, except a body that arrives in one message, whose length
    is known. A custom request class is not replaced.
    """
    for handler in handlers_within(app):
        from django.core.handlers.wsgi import WSGIRequest

        from bridge._frameworks.django_request import StreamedRequest

        if handler.request_class is WSGIRequest:
            handler.request_class = StreamedRequest


def release_connections() -> None:
    """Close the database connections of this thread that Django would close after a request.

    Called when the thread goes on to other work before the response is closed, on another thread.
    Without effect if Django is not imported, or imported by a library, without settings.
    """
    if "django.db" in sys.modules:
        from django.conf import settings
        from django.db import close_old_connections

        if settings.configured:
            close_old_connections()

"""The project of :mod:`tests.django.project` at ``/shop``, in a Router with another app."""

from __future__ import annotations

from collections.abc import Iterable

import bridge
from bridge.types import Environ, StartResponse
from tests.django.project import app as django_app


def front(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The app at ``/``."""
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"front"]


app = bridge.Router({"/": front, "/shop": django_app})

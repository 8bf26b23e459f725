"""The project of :mod:`tests.django.project` behind Django's own handlers, bare and adapted.

Its views run with the first bytes of a request body.
"""

from __future__ import annotations

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

import bridge
from tests.django.project import app as project

__all__ = [
    "adapted",
    "adapted_on_two",
    "native_asgi",
    "native_wsgi",
    "project",
    "routed",
    "routed_on_two",
    "with_static_files",
]

native_asgi = ASGIHandler()
native_wsgi = WSGIHandler()
adapted = bridge.to_asgi(WSGIHandler(), buffer_request_bytes=0)
adapted_on_two = bridge.to_asgi(WSGIHandler(), threads=2)
routed_on_two = bridge.Router({"/other": adapted_on_two, "/": WSGIHandler()}, threads=2)
routed = bridge.Router({"/": WSGIHandler(), "/other": project}, buffer_request_bytes=0)
with_static_files = bridge.to_asgi(StaticFilesHandler(WSGIHandler()), buffer_request_bytes=0)

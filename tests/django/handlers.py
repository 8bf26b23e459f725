"""The project of :mod:`tests.django.project` behind Django's own WSGI handler, adapted."""

from __future__ import annotations

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler

import bridge
from tests.django.project import app as project

__all__ = ["adapted", "project", "routed", "with_static_files"]

adapted = bridge.to_asgi(WSGIHandler())
routed = bridge.Router({"/": WSGIHandler(), "/other": project})
with_static_files = bridge.to_asgi(StaticFilesHandler(WSGIHandler()))

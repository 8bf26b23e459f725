"""Data for every page: the basket's count, the link to the office, the path of the request."""

from __future__ import annotations

import os
import threading
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest

from shop.basket import Basket


def page(request: HttpRequest) -> dict[str, Any]:
    """A template context processor."""
    return {
        "basket_count": len(Basket(request)),
        "office_url": settings.OFFICE_URL,
        "stops": _stops(request),
        "thread": threading.current_thread().name,
        "pid": os.getpid(),
    }


def _stops(request: HttpRequest) -> list[str]:
    """The path of the request; ``asgi.scope`` is set only if it came through bridge."""
    environ = request.META
    scope = environ.get("asgi.scope")
    protocol = str(environ.get("SERVER_PROTOCOL", "HTTP"))
    framework = f"Django {django.get_version()}"
    if scope is None:
        return [protocol, "WSGI server", framework]
    adapter = "bridge.contrib.django" if hasattr(request, "scope") else "bridge.to_asgi"
    return [protocol, f"ASGI {scope['asgi']['version']} server", adapter, framework]

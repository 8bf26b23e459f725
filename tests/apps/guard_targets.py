"""The guard of :mod:`tests.apps.guard` for servers, in front of adapters, a Router and Django."""

from __future__ import annotations

import json
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import re_path

import bridge
from tests.apps.guard import asgi_app, asgi_guard, router, wsgi_app, wsgi_guard

settings.configure(
    SECRET_KEY="only for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True
)
django.setup()

from bridge.contrib.django import get_asgi_application  # noqa: E402  # reads the settings


def _report(request: Any, name: str) -> HttpResponse:
    script_name = request.META["SCRIPT_NAME"].rstrip("/")
    path = request.path_info.replace("%E9", "\ufffd")  # Django encodes again what is not UTF-8
    return HttpResponse(json.dumps([name, script_name, path]))


def view(request: HttpRequest) -> HttpResponse:
    return _report(request, "sync")


async def async_view(request: HttpRequest) -> HttpResponse:
    return _report(request, "async")


urlpatterns = [re_path(r"^a", async_view), re_path(r"", view)]

site, both = get_asgi_application(), router(threads=2)

asgi = asgi_guard(
    {
        "adapter": bridge.to_asgi(wsgi_app("to_asgi"), threads=2),
        "router": both,
        "django": site,
    }
)
wsgi = wsgi_guard(
    {
        "adapter": bridge.to_wsgi(asgi_app("to_wsgi"), lifespan="off"),
        "router": both.wsgi,
        "django": site.wsgi,
    }
)

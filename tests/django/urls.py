"""The URLconf of :mod:`tests.django.project`: one path for each kind of view."""

from __future__ import annotations

import threading
from typing import Any

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.conf.urls.static import static
from django.http import HttpRequest, JsonResponse
from django.urls import (
    URLPattern,
    clear_url_caches,
    include,
    path,
    re_path,
    register_converter,
)
from django.urls.converters import IntConverter
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt

from tests.django import project, streams

async_view, sync_view = project.async_view, project.sync_view
converted: list[str] = []


class Year(IntConverter):
    """Changes only the pattern."""

    regex = "[0-9]{4}"


class Stored:
    """Its ``to_python`` may block."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        converted.append(threading.current_thread().name)
        return value.upper()

    def to_url(self, value: str) -> str:
        return value.lower()


class OwnPattern(URLPattern):
    """Overrides ``resolve``."""

    def resolve(self, path: str) -> Any:
        return super().resolve(path) if path.endswith("own/") else None


register_converter(Year, "year")
register_converter(Stored, "stored")


def conversions(request: HttpRequest) -> JsonResponse:
    """The threads on which the converter has run since the last request to this view."""
    seen = converted.copy()
    converted.clear()
    return JsonResponse({"threads": seen})


def grow(request: HttpRequest) -> JsonResponse:
    """Adds an async view to the URLconf, as packages that edit URLs at run time do."""
    urlpatterns.insert(0, path("grown/", async_view))
    clear_url_caches()
    return JsonResponse({})


nested = ([path("async/<int:n>/", async_view), path("sync/", sync_view)], "nested")

urlpatterns: list[Any] = [
    path("", sync_view),
    path("sync/", sync_view),
    path("sync/class/", project.SyncClass.as_view()),
    path("async/", async_view),
    path("async/class/", project.AsyncClass.as_view()),
    path("async/partial/", project.async_partial),
    path("async/marked/", project.MarkedInstance()),
    path("async/exempt/", csrf_exempt(async_view)),
    path("async/wrapped/", project.wrapped_in_sync(async_view)),
    path("async/typed/<int:a>/<slug:b>/<uuid:c>/<path:d>", async_view),
    path("async/year/<year:y>/", async_view),
    path("async/stored/<stored:s>/", async_view),
    re_path(r"^async/regex/(?P<name>[a-z]+)/$", async_view),
    path(gettext_lazy("async/translated/"), async_view),
    OwnPattern(path("async/own/", sync_view).pattern, async_view),
    path("nested/", include(nested)),
    path("again/", include("tests.django.urls_again")),
    path("spa/sync/", sync_view),
    re_path(r"^spa/", async_view),
    path("static/shadowed/", async_view),
    path("echo/", csrf_exempt(project.echo)),
    path("read/", csrf_exempt(project.read)),
    path("too-long/", project.too_long),
    path("upload/", csrf_exempt(project.upload)),
    path("kept-alive/sync/", project.kept_alive),
    path("kept-alive/async/", project.async_kept_alive),
    path("links/", project.links),
    path("scope/", project.scope_seen),
    path("conversions/", conversions),
    path("grow/", grow),
    path("query/sync/", project.sync_query),
    path("query/async/", project.async_query),
    path("stream/sync/<str:key>/", project.sync_stream),
    path("stream/async/<str:key>/", project.async_stream),
    path("stream/mixed/<str:key>/", project.mixed_stream),
    path("stream/file/<str:key>/", project.async_file),
    path("stream/short/", project.short_stream),
    path("streams/", include(streams.urls)),
    path("missing/async/", project.missing),
    path("contested/", async_view),
    *static(settings.MEDIA_URL, document_root="media"),
    *i18n_patterns(path("language/", async_view), path("language/sync/", sync_view)),
]

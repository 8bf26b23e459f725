"""The Django project of the cookbook's recipe for OpenTelemetry, and a page of the spans."""

from recorded_otel import recording  # isort: skip  # before the recipe

import otel_django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from otel_django import app

__all__ = ["app", "wsgi_app"]


def recorded(request):
    return HttpResponse(recording.page(int(request.GET["count"])))


otel_django.urlpatterns.append(path("recorded", recorded))

wsgi_app = get_wsgi_application()

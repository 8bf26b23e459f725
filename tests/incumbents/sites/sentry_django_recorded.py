"""The Django project of the cookbook's recipe for Sentry, and a page of what was reported."""

from recorded_sentry import recording  # isort: skip  # before the recipe

import sentry_django
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from sentry_django import app

__all__ = ["app", "asgi_app", "wsgi_app"]


def recorded(request):
    return HttpResponse(recording.page(int(request.GET["count"])))


sentry_django.urlpatterns.append(path("recorded", recorded))

wsgi_app = get_wsgi_application()
asgi_app = get_asgi_application()

"""Settings, URLs and views of a Django project whose views count users."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = __name__
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]


def sync_view(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth.models import User

    return HttpResponse(str(User.objects.count()))


async def async_view(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth.models import User

    return HttpResponse(str(await User.objects.acount()))


urlpatterns = [path("sync", sync_view), path("async", async_view)]

"""A Django project with startproject's middleware and a view that queries PostgreSQL.

Input: ``BENCH_DATABASE``, the URL of a database, for the view at ``/query``, and
``BENCH_CONN_MAX_AGE``. Output: one app for each way to serve the project. Django's own ASGI handler
opens a connection in a different thread for each request and leaves it to the garbage collector, so
it is measured without persistent connections, as Django's documentation recommends.
"""

from __future__ import annotations

import os
from typing import Any, cast
from urllib.parse import urlsplit

import django
from django.conf import settings

THREADS = 40
DATABASE = urlsplit(os.environ.get("BENCH_DATABASE", ""))

settings.configure(
    SECRET_KEY="only for measuring",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": f"django.db.backends.{'postgresql' if DATABASE.port else 'sqlite3'}",
            "NAME": DATABASE.path.lstrip("/") or ":memory:",
            "USER": DATABASE.username or "",
            "HOST": DATABASE.hostname or "",
            "PORT": str(DATABASE.port or ""),
            "CONN_MAX_AGE": int(os.environ.get("BENCH_CONN_MAX_AGE", "60")),
        }
    },
    LOGGING_CONFIG=None,
)
django.setup()

import a2wsgi  # noqa: E402 (these imports need the settings above)
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

import bridge  # noqa: E402
from bridge.contrib.django import get_asgi_application  # noqa: E402


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


def query(request: HttpRequest) -> HttpResponse:
    """One row of the catalogue, which is small and cached by PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE oid = %s", [1259])
        row = cursor.fetchone()
    return HttpResponse(row[0])


urlpatterns = [path("", hello), path("query", query)]

wsgi = WSGIHandler()
asgi = ASGIHandler()
hybrid: Any = get_asgi_application(threads=THREADS)
adapted = bridge.to_asgi(wsgi, threads=THREADS)
a2wsgi_app = a2wsgi.WSGIMiddleware(cast(Any, wsgi), workers=THREADS)

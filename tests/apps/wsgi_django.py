"""A Django project in one file: views, a form, streaming, sessions, the admin, SQLite.

``app`` is Django's WSGI handler. ``BRIDGE_TEST_DATABASE`` is the path of the database, which
``python -m tests.apps.wsgi_django`` creates with one superuser.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from tests.apps.django_user import PASSWORD, USER

settings.configure(
    DEBUG=False,
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
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
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("BRIDGE_TEST_DATABASE", ":memory:"),
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    STATIC_URL="static/",
    LOGGING_CONFIG=None,
)
django.setup()

from django.contrib import admin  # noqa: E402 (needs the settings above)
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponse, HttpResponseBase  # noqa: E402
from django.urls import path, reverse  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from tests.harness import control  # noqa: E402


def hello(request: HttpRequest) -> HttpResponseBase:
    return HttpResponse(f"Hello from Django at {reverse('hello')}")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponseBase:
    """The name and size of an uploaded file, and a form field."""
    uploaded: Any = request.FILES["file"]
    return JsonResponse(
        {"name": uploaded.name, "size": uploaded.size, "note": request.POST["note"]}
    )


def stream(request: HttpRequest) -> HttpResponseBase:
    """A sync iterator, which Django's ASGI handler would collect first."""
    return StreamingHttpResponse(_chunks(request.GET["key"]), content_type="text/plain")


def _chunks(key: str) -> Iterator[bytes]:
    for number in range(3):
        control.gate(key, "chunk")
        yield f"chunk {number};".encode()


def count(request: HttpRequest) -> HttpResponseBase:
    """A counter in the session, stored in the database."""
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


def download(request: HttpRequest) -> HttpResponseBase:
    """Sends the file ``BRIDGE_TEST_FILE``, which Django does in full, whatever range is wanted."""
    return FileResponse(Path(os.environ["BRIDGE_TEST_FILE"]).open("rb"))


class TemporaryResponse(FileResponse):
    """Deletes its file when it is closed."""

    path: Path

    def close(self) -> None:
        super().close()
        self.path.unlink()


def deleted(request: HttpRequest) -> HttpResponseBase:
    """Sends the file at ``path`` and deletes it."""
    path = Path(request.GET["path"])
    response = TemporaryResponse(path.open("rb"))
    response.path = path
    return response


urlpatterns = [
    path("download", download),
    path("deleted", deleted),
    path("hello", hello, name="hello"),
    path("upload", upload),
    path("stream", stream),
    path("count", count),
    path("admin/", admin.site.urls),
]

app = WSGIHandler()


def make_database() -> None:
    """Create the tables and the superuser."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_superuser(USER, "admin@example.org", PASSWORD)


if __name__ == "__main__":
    make_database()

"""A Django project on PostgreSQL, with one view for each error that a rule finds in views.

Input: requests, such as ``/v403/sync``; the address of the database, as JSON in
``BRIDGE_TEST_POSTGRES``; the name of its connections, in ``BRIDGE_TEST_NAME``. Output: ``wsgi``
for gunicorn, ``native`` for Django's own ASGI handler, ``through_bridge`` for that of bridge, on
two threads. Views under ``fixed/`` are the result of the fix for the view above.

Run as a program, it creates the tables and prints the key of a logged-in session.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings

ENGINE: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "CONN_MAX_AGE": 60,
    "OPTIONS": {"application_name": os.environ.get("BRIDGE_TEST_NAME", "setup")},
    **json.loads(os.environ["BRIDGE_TEST_POSTGRES"]),
}
ATOMIC = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": True}

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="tests.migrate.apps.views",
    USE_TZ=True,
    DATABASES={"default": ENGINE, "atomic": ATOMIC},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup(set_prefix=False)

from django.contrib.auth.models import User  # noqa: E402  # needs the settings
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import View  # noqa: E402

from tests.harness.control import gate, report  # noqa: E402

free = transaction.non_atomic_requests(using="atomic")


@free
def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


@free
def d301(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return HttpResponse(str(cursor.fetchone()[0]))


async def d303(request: HttpRequest) -> HttpResponse:
    return HttpResponse("never")


@free
async def d303_fixed(request: HttpRequest) -> HttpResponse:
    return HttpResponse("at last")


@method_decorator(free, name="dispatch")
class D303Fixed(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("at last")


def endless(key: str) -> Iterator[str]:
    """Server-sent events; the test releases each one."""
    while True:
        yield "data: one\n\n"
        report(key, "asked for the next")
        gate(key, "next")


@free
def v401(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Endless, so also a V410."""
    return StreamingHttpResponse(endless(key), content_type="text/event-stream")


@free
def v403(request: Any) -> HttpResponse:
    return HttpResponse(request.environ["REQUEST_METHOD"])


@free
async def v403_async(request: Any) -> HttpResponse:
    return HttpResponse(request.environ["REQUEST_METHOD"])


@free
def v403_fixed(request: Any) -> HttpResponse:
    return HttpResponse(request.META["REQUEST_METHOD"])


@free
def v404(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.META["SERVER_PROTOCOL"])


@free
async def v404_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.META["SERVER_PROTOCOL"])


@free
async def v407(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str([user.get_username() for user in User.objects.all()]))


@free
async def v407_fixed(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str([user.get_username() async for user in User.objects.all()]))


@free
async def v408(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.is_authenticated))


@free
async def v408_fixed(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str((await request.auser()).is_authenticated))


urlpatterns = [
    path("", ready),
    path("d301", d301),
    path("d303", d303),
    path("fixed/d303", d303_fixed),
    path("fixed/d303/class", D303Fixed.as_view()),
    path("v401/<key>", v401),
    path("v403", v403),
    path("v403/async", v403_async),
    path("fixed/v403", v403_fixed),
    path("v404", v404),
    path("v404/async", v404_async),
    path("v407", v407),
    path("fixed/v407", v407_fixed),
    path("v408", v408),
    path("fixed/v408", v408_fixed),
]


def log_in() -> str:
    """Create the tables, and a session of a user.

    :returns: the key of the session.
    """
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    call_command("migrate", verbosity=0)
    user = User.objects.create(username="someone")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


if __name__ == "__main__":
    print(log_in())
else:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    from bridge.contrib.django import get_asgi_application as bridge_application

    gc.disable()  # it would close forgotten connections, which the tests count

    wsgi = get_wsgi_application()
    native = get_asgi_application()
    through_bridge = bridge_application(threads=2)

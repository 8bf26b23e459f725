"""Django's ASGI handler behind ``bridge.to_wsgi``, with persistent PostgreSQL connections.

``BRIDGE_TEST_POSTGRES`` is the database, as ``host:port:user:database``. The views of ``app``
respond with their backend process, which identifies the connection, and their thread.
``channels()`` is the same behind Channels' router.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

HOST, PORT, USER, DATABASE = os.environ.get("BRIDGE_TEST_POSTGRES", ":::").split(":")

settings.configure(
    DEBUG=False,
    SECRET_KEY="only-for-tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    LOGGING_CONFIG=None,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": HOST,
            "PORT": PORT,
            "USER": USER,
            "NAME": DATABASE,
            "CONN_MAX_AGE": 60,
        }
    },
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 (needs the settings)
from django.core.signals import request_finished  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

import bridge  # noqa: E402

finished_on: set[int] = set()


def record_finish(**kwargs: Any) -> None:
    finished_on.add(threading.get_ident())


request_finished.connect(record_finish)


def backend() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return {"backend": pid, "thread": threading.get_ident()}


def sync_view(request: HttpRequest) -> JsonResponse:
    return JsonResponse(backend())


async def async_view(request: HttpRequest) -> JsonResponse:
    first = await sync_to_async(backend)()
    second = await sync_to_async(backend)()
    return JsonResponse({**first, "same": first == second})


async def finished(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"threads": sorted(finished_on)})


def echo(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"length": len(request.body), "posted": request.POST.get("name")})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def numbers() -> Any:
        for number in range(3):
            yield f"{number};"

    return StreamingHttpResponse(numbers(), content_type="text/plain")


def fail(request: HttpRequest) -> JsonResponse:
    raise LookupError(request.GET["key"])


urlpatterns = [
    path("", lambda request: JsonResponse({})),
    path("sync", sync_view),
    path("async", async_view),
    path("finished", finished),
    path("echo", echo),
    path("stream", stream),
    path("breaks", fail),
]

django_asgi = get_asgi_application()
app = bridge.to_wsgi(django_asgi)


def channels() -> object:
    """Django behind Channels' router, which has no lifespan."""
    from channels.routing import ProtocolTypeRouter  # type: ignore[import-untyped]  # no stubs

    return bridge.to_wsgi(ProtocolTypeRouter({"http": django_asgi}))

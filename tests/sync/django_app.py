"""A Django project whose views call the ORM through Django's helpers and through ours.

``asgi`` is Django's own ASGI application, ``bridged`` its WSGI application behind `to_asgi`. The
database is PostgreSQL. The test creates its one table, and passes its address in the environment.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import django
from asgiref.sync import async_to_sync as djangos_async_to_sync
from asgiref.sync import sync_to_async as djangos_sync_to_async
from django.conf import settings

import bridge

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.plain_middleware"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGGING_CONFIG=None,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["BRIDGE_TEST_DB_HOST"],
            "PORT": os.environ["BRIDGE_TEST_DB_PORT"],
            "USER": os.environ["BRIDGE_TEST_DB_USER"],
            "NAME": os.environ["BRIDGE_TEST_DB_NAME"],
            "ATOMIC_REQUESTS": True,
        }
    },
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402  # needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Note(models.Model):
    text: Any = models.CharField(max_length=100)

    class Meta:
        app_label = "notes"


def plain_middleware(get_response: Any) -> Any:
    """A sync-only middleware."""

    def middleware(request: HttpRequest) -> Any:
        return get_response(request)

    return middleware


def where(text: str) -> tuple[int, int]:
    """Write a note; return the ids of the connection and the transaction."""
    Note.objects.create(text=text)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), txid_current()")
        pid, transaction_id = cursor.fetchone()
    return pid, transaction_id


async def through_every_helper(key: str) -> list[tuple[int, int]]:
    """Write notes through both helpers, in tasks, and nested in both directions."""
    await Note.objects.acreate(text=key)  # Django's own async ORM
    seen = [
        await bridge.sync_to_async(where)(key),
        await djangos_sync_to_async(where)(key),
        *await asyncio.gather(
            bridge.sync_to_async(where)(key),
            djangos_sync_to_async(where)(key),
            asyncio.wait_for(bridge.sync_to_async(where)(key), 30),
        ),
        await bridge.sync_to_async(lambda: djangos_async_to_sync(one)(key))(),
        await djangos_sync_to_async(lambda: bridge.async_to_sync(one)(key))(),
    ]
    async with bridge.enter_in_threads(transaction.atomic()):
        seen.append(await one(key))
    places = bridge.iterate_in_threads(where(key) for _ in range(3))
    return [*seen, *[place async for place in places]]


async def one(key: str) -> tuple[int, int]:
    return await bridge.sync_to_async(where)(key)


def atomic_view(request: HttpRequest, key: str) -> JsonResponse:
    """A sync view, which Django runs in a transaction (ATOMIC_REQUESTS)."""
    seen = [
        where(key),
        *bridge.async_to_sync(through_every_helper)(key),
        *djangos_async_to_sync(through_every_helper)(key),
        *bridge.iterate_in_loop(places(key)),
    ]
    if "fail" in request.GET:
        raise ValueError("roll back")
    return JsonResponse({"seen": seen})


async def places(key: str) -> Any:
    for _ in range(2):
        yield await djangos_sync_to_async(where)(key)


@transaction.non_atomic_requests
async def async_view(request: HttpRequest, key: str) -> JsonResponse:
    """An async view, which opens the transaction itself."""
    async with bridge.enter_in_threads(transaction.atomic()):
        seen = await through_every_helper(key)
        if "fail" in request.GET:
            raise ValueError("roll back")
    return JsonResponse({"seen": seen})


urlpatterns = [path("atomic/<key>", atomic_view), path("async/<key>", async_view)]

asgi = get_asgi_application()
bridged = bridge.to_asgi(get_wsgi_application(), threads=4)

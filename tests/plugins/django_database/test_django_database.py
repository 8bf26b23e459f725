"""The helpers and the hybrid with the database fixtures of pytest-django."""

from __future__ import annotations

import asgiref.sync
import pytest
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.test import Client

import bridge
from bridge.contrib.django import get_asgi_application
from tests.plugins import apps

HYBRID = get_asgi_application()
WSGI = bridge.to_asgi(get_wsgi_application())
in_a_transaction = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)


async def add_and_count() -> int:
    await User.objects.acreate(username="of an async method")
    await bridge.sync_to_async(User.objects.create)(username="of bridge")
    await asgiref.sync.sync_to_async(User.objects.create)(username="of asgiref")
    return await User.objects.acount()


# In the transaction of the test, which is on the connection of the thread that runs it.


@in_a_transaction
@pytest.mark.parametrize("run", [1, 2])
def test_async_code_called_from_a_sync_test_is_in_its_transaction(run: int) -> None:
    User.objects.create(username="of the test")
    assert bridge.async_to_sync(add_and_count)() == 4
    assert User.objects.count() == 4


@in_a_transaction
def test_a_view_called_with_djangos_client_is_in_the_transaction(client: Client) -> None:
    User.objects.create(username="of the test")
    assert client.get("/sync").content == b"1"
    assert client.get("/async").content == b"1"


# Committed, as for a test with several connections. The tables are empty again afterwards.


@committed
@pytest.mark.parametrize("run", [1, 2])
async def test_an_async_test_with_committed_data(run: int) -> None:
    assert await add_and_count() == 3


@committed
@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("path", ["/sync", "/async"])
@pytest.mark.parametrize("app", [HYBRID, WSGI], ids=["hybrid", "wsgi"])
async def test_requests_see_committed_data(app: object, path: str, run: int) -> None:
    await User.objects.acreate(username="of the test")
    assert await apps.get(app, path) == "1"


@committed
def test_requests_of_a_sync_test_see_committed_data() -> None:
    User.objects.create(username="of the test")
    assert bridge.async_to_sync(apps.get)(HYBRID, "/sync") == "1"

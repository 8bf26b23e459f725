"""The URLconf that middleware sets for some requests, instead of :mod:`tests.django.urls`."""

from __future__ import annotations

from django.urls import path

from tests.django.project import async_view, sync_view

urlpatterns = [
    path("contested/", sync_view),
    path("only/other/", async_view),
    path("sync/", sync_view),
]

"""A URLconf that includes itself: ``again/again/async/`` is a path."""

from __future__ import annotations

from django.urls import include, path

from tests.django.project import async_view

urlpatterns = [path("async/", async_view), path("again/", include("tests.django.urls_again"))]

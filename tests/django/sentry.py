"""The project of :mod:`tests.django.project` with Sentry's SDK, whose events are reported."""

from __future__ import annotations

from typing import Any

import sentry_sdk  # type: ignore[import-not-found,unused-ignore]  # of nox -s django
from sentry_sdk.integrations.django import (  # type: ignore[import-not-found,unused-ignore]
    DjangoIntegration,
)

from tests.harness.control import report

__all__ = ["app"]


def send(event: Any, hint: Any) -> None:
    """Report an event to the test that the path names; nothing is sent."""
    url = event.get("request", {}).get("url", "")
    errors = [each["value"] for each in event.get("exception", {}).get("values", [])]
    if "/streams/" in url:
        report(url.split("/")[-2], "event", errors=errors)


sentry_sdk.init(dsn="http://key@127.0.0.1/1", integrations=[DjangoIntegration()], before_send=send)

from tests.django.project import app  # noqa: E402  # Sentry patches Django first

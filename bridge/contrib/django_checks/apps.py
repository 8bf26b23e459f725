"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["BridgeChecks"]


class BridgeChecks(AppConfig):
    """Registers the checks. The app has no models and no settings."""

    name = "bridge.contrib.django_checks"
    label = "bridge_checks"
    verbose_name = "bridge: checks for the move to ASGI"

    def ready(self) -> None:
        from django.core.checks import register

        from bridge.contrib.django_checks.checks import check_asgi

        register(check_asgi, "asgi")

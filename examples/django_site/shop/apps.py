"""The app's configuration, and the signals that update open pages."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save


class ShopConfig(AppConfig):
    """The shop."""

    name = "shop"
    verbose_name = "Shop"

    def ready(self) -> None:
        """Update the open pages on every save: from a view, the admin or the shell."""
        post_save.connect(_notice_saved, sender="shop.Notice")
        post_save.connect(_product_saved, sender="shop.Product")


def _notice_saved(instance: Any, created: bool, raw: bool, **_: Any) -> None:
    from shop import live

    if created and not raw:
        live.send_notice(instance)


def _product_saved(instance: Any, raw: bool, **_: Any) -> None:
    from shop import live

    if not raw:
        live.send_stock([instance])

"""The app's name for Django."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "shop"
    verbose_name = "Shop"

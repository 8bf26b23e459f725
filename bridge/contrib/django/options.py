"""The options of :func:`~bridge.contrib.django.get_asgi_application`, by what takes them. Pure.

Importing this module imports nothing of Django.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.config import (
    OF_WEBSOCKETS,
    TO_ASGI,
    ToAsgiKeywords,
    WebSocketKeywords,
    check_names,
)

__all__ = ["DjangoKeywords", "check_django_names", "split_options"]

_ALL = TO_ASGI | OF_WEBSOCKETS | {"websocket", "lifespan", "startup_timeout_s"}


class DjangoKeywords(ToAsgiKeywords, WebSocketKeywords, total=False):
    """Those of the adapter for Django's WSGI handler, and those for WebSockets on WSGI servers."""


def check_django_names(options: Mapping[str, Any]) -> None:
    """:raises ConfigError: `get_asgi_application` has no option of one of these names."""
    check_names(options, _ALL)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the adapter, and those for WebSockets."""
    of_websockets = {name: options[name] for name in options if name in OF_WEBSOCKETS}
    return {n: v for n, v in options.items() if n not in OF_WEBSOCKETS}, of_websockets

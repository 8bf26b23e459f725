"""The options of :func:`~bridge.contrib.django.get_asgi_application`, by what takes them. Pure.

Importing this module imports nothing of Django.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bridge.config import ToAsgiKeywords, WebSocketKeywords, WebSocketOptions

__all__ = ["DjangoKeywords", "split_options"]

_OF_WEBSOCKETS = frozenset(field.name for field in fields(WebSocketOptions))


class DjangoKeywords(ToAsgiKeywords, WebSocketKeywords, total=False):
    """Those of the adapter for Django's WSGI handler, and those for WebSockets on WSGI servers."""


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the adapter, and those for WebSockets."""
    of_websockets = {name: options[name] for name in options if name in _OF_WEBSOCKETS}
    return {n: v for n, v in options.items() if n not in _OF_WEBSOCKETS}, of_websockets

"""Which of Django's WSGI handlers are adapted; what they do then is in :mod:`tests.django`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler

from bridge.wsgi_to_asgi.django_streams import adapt_handlers


class Handler(WSGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        """Needs settings."""


class Traced:
    """A function as tracers wrap it with wrapt: each access makes another object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Any:
        def call(*args: Any) -> Any:
            return self.function(*args) if instance is None else self.function(instance, *args)

        return call


def test_a_handler_that_a_tracer_has_wrapped_is_adapted(monkeypatch: pytest.MonkeyPatch) -> None:
    response: Any = SimpleNamespace(streaming=False)
    monkeypatch.setattr(BaseHandler, "get_response", Traced(lambda handler, request: response))
    handler = Handler()

    adapt_handlers(handler)

    assert "get_response" in vars(handler)
    request: Any = SimpleNamespace()
    assert handler.get_response(request) is response


def test_a_handler_with_a_get_response_of_its_own_is_not_changed() -> None:
    class Own(Handler):
        def get_response(self, request: Any) -> Any:
            return super().get_response(request)

    handler = Own()

    adapt_handlers(handler)

    assert "get_response" not in vars(handler)

"""Django's two handlers, with the few lines in which they differ from Django's own.

Input: an environ, on a worker thread, or a scope, on the event loop. Output: Django's response.

:class:`WsgiSide`
    streams what an async iterator yields (Django collects all of it first), on an ASGI server
    without a thread: see :mod:`bridge.wsgi_to_asgi.django_streams`. It reads request bodies
    without a Content-Length, sets ``request.scope``, and removes hop-by-hop headers, which PEP 3333
    forbids. Django's ASGI handler accepts them.
:class:`AsgiSide`
    streams what a sync iterator yields, or a file (Django collects all of it first), on the thread
    where `sync_to_async` runs the request's sync code. It closes the request's database connections
    on that thread, which ends with the request: whatever ``CONN_MAX_AGE`` is, no other request
    could use them. Streams end with their client, also under Django 4.2. Both hooks of a middleware
    run in one context. Requests have the same ``path_info`` as on the WSGI side. Trusted keys are
    added to ``request.META``.

Both report the URLconf that a middleware has set.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connections

from bridge._frameworks.django_request import StreamedRequest
from bridge._http.paths import below_root, include_root_path
from bridge._http.rules import HOP_BY_HOP
from bridge._http.silent import revealed
from bridge.contrib.django.chain import ChainRecorder
from bridge.contrib.django.disconnects import DJANGO_LISTENS, until_disconnect
from bridge.contrib.django.hooks import share_context
from bridge.sync.iterate_threads import iterate_in_threads
from bridge.types import Receive, Scope, TrustedEnviron
from bridge.wsgi_to_asgi.django_streams import make_iterable
from bridge.wsgi_to_asgi.rest_side import PAUSE_EVERY

__all__ = ["AsgiSide", "WsgiSide"]

STREAM_WINDOW = 4
"""How many items a sync iterator may be ahead of the client."""

_HOP_BY_HOP = frozenset(name.decode("ascii") for name in HOP_BY_HOP)

_receive: ContextVar[Receive] = ContextVar("_receive")
"""The client of the request that the current task serves, under Django 4.2."""

OnUrlconf = Callable[[Any], None]
"""Called with each URLconf that a middleware has set as ``request.urlconf``. Any thread."""


class BridgedRequest(StreamedRequest):
    """The request of a sync view."""

    @property
    def scope(self) -> Scope | None:
        """The ASGI scope, as in ``ASGIRequest``; None on a WSGI server."""
        scope: Scope | None = revealed(self.environ.get("asgi.scope"))
        return scope


class WsgiSide(ChainRecorder, WSGIHandler):
    """Django's WSGI handler."""

    request_class = BridgedRequest

    def __init__(self, on_urlconf: OnUrlconf) -> None:
        self._on_urlconf = on_urlconf
        super().__init__()

    def get_response(self, request: Any) -> Any:
        """As in Django; an async iterator runs on the event loop."""
        response: Any = super().get_response(request)
        make_iterable(response)
        for name in [name for name in response.headers if name.lower() in _HOP_BY_HOP]:
            del response.headers[name]
        return response

    def resolve_request(self, request: Any) -> Any:
        """As in Django; reports the URLconf."""
        match = super().resolve_request(request)
        _report(request, self._on_urlconf)
        return match


class AsgiSide(ChainRecorder, ASGIHandler):
    """Django's ASGI handler.

    It gets the headers that the adapter of :class:`WsgiSide` accepts, so that no request is refused
    for one kind of view only.
    """

    def __init__(
        self,
        on_urlconf: OnUrlconf,
        *,
        trusted_environ: TrustedEnviron | None,
    ) -> None:
        self._on_urlconf = on_urlconf
        super().__init__()
        self.request_class = partial(_make_request, trusted_environ)  # type: ignore[assignment]  # Django only calls it

    def load_middleware(self, is_async: bool = False) -> None:
        """As in Django; both hooks of a sync middleware run in one context."""
        super().load_middleware(is_async)
        for link in self.links():
            share_context(link.made)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3, for ``http``."""
        if scope.get("root_path"):
            scope = {**scope}
            include_root_path(scope)
        if not DJANGO_LISTENS:
            _receive.set(receive)
        await super().__call__(scope, receive, send)

    async def get_response_async(self, request: Any) -> Any:
        """As in Django; a sync iterator runs where the request's other sync code runs."""
        response: Any = await super().get_response_async(request)
        if response.streaming:
            content = response.streaming_content
            items = (
                _in_turns(content)
                if response.is_async
                else iterate_in_threads(content, window=STREAM_WINDOW)
            )
            response.streaming_content = (
                items if DJANGO_LISTENS else until_disconnect(items, _receive.get())
            )
        return response

    def resolve_request(self, request: Any) -> Any:
        """As in Django; reports the URLconf."""
        match = super().resolve_request(request)
        _report(request, self._on_urlconf)
        return match


async def _in_turns(content: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """The same items. The loop runs other tasks in between, even if nothing else waits.

    uvicorn's ``send`` does not wait after a disconnect: an iterator that never waits either would
    block the loop for ever.
    """
    turns = 0
    async for item in content:
        yield item
        turns += 1
        if not turns % PAUSE_EVERY:
            await asyncio.sleep(0)


def _make_request(
    trusted_environ: TrustedEnviron | None, scope: Scope, body_file: Any
) -> ASGIRequest:
    """The request of an async view, with the ``path_info`` that a sync view would get.

    Django removes the mount point from the path also where no segment ends, and removes too much if
    ``FORCE_SCRIPT_NAME`` ends in a slash.
    """
    request = ASGIRequest(scope, body_file)
    request.path_info = below_root(request.script_name or "", request.path) or "/"
    request.META["PATH_INFO"] = request.path_info
    if trusted_environ is not None:
        request.META.update(trusted_environ(scope))
    return request


def _report(request: Any, on_urlconf: OnUrlconf) -> None:
    urlconf = getattr(request, "urlconf", None)
    if urlconf is not None:
        on_urlconf(urlconf)


def _close_connections(**_: Any) -> None:
    """On the thread of the request's sync code, after Django's ``close_old_connections``."""
    connections.close_all()


request_finished.connect(
    _close_connections, sender=AsgiSide, dispatch_uid="bridge.contrib.django.handlers"
)

"""Async iterators in the responses of Django's WSGI handler.

Input: a response that a view has returned, on the thread that runs the app. Output: on an ASGI
server, what the event loop sends of it; on a WSGI server, an iterator that runs on the event loop,
one item at a time. Django itself collects all items before it sends the first one.

An ASGI server gets the response as the view's middleware has left it. If a WSGI middleware has
wrapped it, it is iterated on the thread, as on a WSGI server; Sentry's wrapper is looked through.

Imports nothing of Django unless the app has imported it.
"""

from __future__ import annotations

import inspect
import sys
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from bridge._frameworks.django import handlers_within, read_chunked_bodies, release_connections
from bridge._frameworks.sentry import as_sentry_does, response_within
from bridge._threads.asgiref_state import context_executors
from bridge._threads.own_tasks import own_task
from bridge.wsgi_to_asgi.rest import Threads, Write, until_done

__all__ = ["DjangoStream", "adapt_handlers", "make_iterable", "stream_of"]


def adapt_handlers(app: object) -> None:
    """Let Django's WSGI handler stream async iterators and read chunked bodies, if ``app`` is one.

    A handler whose ``get_response`` is overridden is not changed.
    """
    read_chunked_bodies(app)
    for handler in handlers_within(app):
        from django.core.handlers.base import BaseHandler

        # Not by attribute: what a tracer has put there may make a new object each time.
        found = inspect.getattr_static(type(handler), "get_response")
        if found is vars(BaseHandler)["get_response"]:
            handler.get_response = partial(_get_response, handler)  # type: ignore[method-assign]  # Django calls it on the instance


def _get_response(handler: Any, request: Any) -> Any:
    response = type(handler).get_response(handler, request)
    make_iterable(response)
    return response


def make_iterable(response: Any) -> None:
    """Let sync code iterate over a response, one item at a time, if its content is async."""
    if response.streaming and response.is_async:
        response.streaming_content = _AsyncContent(_content_of(response))


def stream_of(result: Any) -> DjangoStream | None:
    """What the event loop sends of a response; None if that is not an async iterator of Django's.

    :param result: what the app has returned: an object whose class has a ``streaming`` that is
        true, or is named as Sentry's.
    """
    if "django.http.response" not in sys.modules:
        return None
    from django.http.response import StreamingHttpResponse

    is_bare = isinstance(result, StreamingHttpResponse)
    response = result if is_bare else response_within(result)
    if not isinstance(response, StreamingHttpResponse):
        return None
    around = nullcontext() if is_bare else as_sentry_does(result)
    content = getattr(response, "_iterator", None)
    if type(content) is _AsyncContent:
        return DjangoStream(response, content.source, around)
    return DjangoStream(response, _content_of(response), around) if response.is_async else None


def _content_of(response: Any) -> AsyncIterator[Any]:
    """The async iterator of a response.

    Django's ``streaming_content`` wraps it in a generator of its own. Closing that one would leave
    the view's to the garbage collector.
    """
    from django.http.response import StreamingHttpResponse

    is_djangos = type(response).streaming_content is StreamingHttpResponse.streaming_content
    source = response._iterator if is_djangos else response.streaming_content
    return aiter(source)


class _AsyncContent:
    """An async iterator as the content of a response. The first ``next()`` starts it."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self.source = source
        self._items: Any = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._items is None:
            from bridge.sync.iterate_loop import iterate_in_loop  # mostly not needed

            self._items = iterate_in_loop(self.source, window=1)
        return next(self._items)

    def close(self) -> None:
        if self._items is not None:
            self._items.close()


class DjangoStream:
    """An async iterator, sent as Django's ASGI handler sends it.

    Its thread-sensitive sync code, such as the ORM's, runs on a thread of its own, which ends with
    it. So do the database connections of that thread: no other request could use them.

    :param around: entered for as long as it runs.
    """

    def __init__(
        self, response: Any, source: AsyncIterator[Any], around: AbstractContextManager[None]
    ) -> None:
        self._response = response
        self._source = source
        self._around = around

    def leave_thread(self) -> None:
        """See :class:`~bridge.wsgi_to_asgi.rest.Rest`."""
        release_connections()

    async def send(self, write: Write, _: Threads) -> None:
        """See :class:`~bridge.wsgi_to_asgi.rest.Rest`."""
        context = ThreadSensitiveContext()
        async with context:
            try:
                with self._around:
                    await self._send_parts(write)
            finally:
                if context in context_executors:
                    release = sync_to_async(_close_connections)()
                    closing = own_task(release, get_running_loop(), name="bridge-close")
                    await until_done(closing)
                    closing.result()

    async def _send_parts(self, write: Write) -> None:
        source, make_bytes = self._source, self._response.make_bytes
        try:
            async for part in source:
                if not await write(make_bytes(part)):
                    break
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()

"""Views that stream, for :mod:`tests.django.test_streams`, and what surrounds them.

A stream reports its steps under the key of its request, which is in a context variable: a report
with the right key was made in the right context.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.signals import request_finished
from django.db import connections
from django.http import FileResponse, HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from django.views import View
from django.views.decorators.cache import never_cache

from tests.harness.control import report

key_of_request: ContextVar[str] = ContextVar("key_of_request", default="")
running: Counter[str] = Counter()
"""How many streams of a key have begun and not ended."""


def where() -> dict[str, Any]:
    """The thread, and the event loop of its running code."""
    try:
        loop = id(asyncio.get_running_loop())
    except RuntimeError:
        loop = None
    return {"thread": threading.current_thread().name, "loop": loop}


def step(name: str, **facts: Any) -> None:
    """Report a step of the request in whose context this runs."""
    key = key_of_request.get()
    if key:
        report(key, name, **facts, **where())


def on_request_finished(**_: Any) -> None:
    used = [each for each in connections.all(initialized_only=True) if each.connection is not None]
    step("finished", connections=len(used))


request_finished.connect(on_request_finished)


class Door:
    """Where streams wait until :func:`open_door`."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened = asyncio.Event()


doors: dict[str, Door] = {}


def open_door(request: HttpRequest, key: str) -> JsonResponse:
    door = doors.pop(key)
    door.loop.call_soon_threadsafe(door.opened.set)
    return JsonResponse({})


def count(request: HttpRequest, key: str) -> JsonResponse:
    """A page: how many streams of the key run."""
    return JsonResponse({"running": running[key], "threads": threading.active_count()})


def respond(chunks: Any, key: str, **options: Any) -> StreamingHttpResponse:
    """A stream that reports its ``close()``."""
    response = StreamingHttpResponse(chunks, content_type="text/plain", **options)
    report_close(response, key)
    return response


def report_close(response: Any, key: str) -> None:
    def close() -> None:
        report(key, "closed", in_context=key_of_request.get() == key, **where())

    response._resource_closers.append(close)


async def held(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Waits at the door between its two chunks."""
    door = doors.setdefault(key, Door())

    async def chunks() -> AsyncIterator[str]:
        running[key] += 1
        step("began")
        try:
            yield "first;"
            await door.opened.wait()
            yield "last;"
        except BaseException as error:
            step("raised", error=type(error).__name__)
            raise
        finally:
            running[key] -= 1
            step("ended")

    return respond(chunks(), key)


async def quiet(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """The same without reports, for many."""
    door = doors.setdefault(key, Door())

    async def chunks() -> AsyncIterator[str]:
        running[key] += 1
        try:
            yield "first;"
            await door.opened.wait()
            yield "last;"
        finally:
            running[key] -= 1

    return StreamingHttpResponse(chunks(), content_type="text/plain")


async def endless(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Never waits: a client that does not read stops it between two chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
        except BaseException as error:
            step("raised", error=type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            step("ended")

    return respond(chunks(), key)


async def failing(request: HttpRequest, key: str) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[str]:
        yield "first;"
        raise ValueError("the tide is out")

    return respond(chunks(), key)


async def sized(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Six bytes, and a Content-Length that says how many the client has asked for."""

    async def chunks() -> AsyncIterator[str]:
        yield "abc"
        yield ""
        yield "def"
        step("ended")

    return respond(chunks(), key, headers={"Content-Length": request.headers["x-length"]})


async def overtime(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Waits at the door after it has sent its Content-Length."""
    door = doors.setdefault(key, Door())

    async def chunks() -> AsyncIterator[str]:
        try:
            yield "whole"
            await door.opened.wait()
        except BaseException as error:
            step("raised", error=type(error).__name__)
            raise
        finally:
            step("ended")

    return respond(chunks(), key, headers={"Content-Length": "5"})


async def queries(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """The view uses the database, and the stream does so twice."""
    step("view", in_view=await sync_to_async(query)())

    async def chunks() -> AsyncIterator[str]:
        for _ in range(2):
            step("query", on=await sync_to_async(query)())
            yield "queried;"

    return respond(chunks(), key)


def query() -> str:
    """Makes a query, and marks when its connection is closed. Returns the name of the thread."""
    assert Group.objects.count() == 0
    connection: Any = connections["default"]
    connection.key = key_of_request.get()
    thread = threading.current_thread().name
    if not hasattr(connection, "closed_by_django"):
        connection.closed_by_django = connection.close
        connection.close = partial(close_and_report, connection)
    return thread


def close_and_report(connection: Any) -> None:
    if connection.connection is not None:
        report(connection.key, "disconnected", thread=threading.current_thread().name)
    connection.closed_by_django()


async def wrapped(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """For middleware that puts a sync generator around it."""

    async def chunks() -> AsyncIterator[str]:
        yield "first;"

    return respond(chunks(), key)


def file(request: HttpRequest, key: str) -> FileResponse:
    """A file that the client names."""
    query()
    response = FileResponse(open(request.headers["x-file"], "rb"))  # noqa: SIM115
    report_close(response, key)
    return response


def listen() -> Iterator[str]:
    yield "data: 1\n\n"


def module_events(request: HttpRequest) -> StreamingHttpResponse:
    """Holds a thread."""
    return StreamingHttpResponse(listen(), content_type="text/event-stream")


@never_cache
def nested_events(request: HttpRequest) -> StreamingHttpResponse:
    """Holds a thread."""

    def events() -> Iterator[str]:
        yield "data: 1\n\n"

    headers = {"X-Accel-Buffering": "no"}
    return StreamingHttpResponse(
        events(), content_type="text/event-stream; charset=utf-8", headers=headers
    )


class ClassEvents(View):
    """Holds a thread."""

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(self.events(), content_type="text/event-stream")

    def events(self) -> Iterator[str]:
        yield "data: 1\n\n"


def export(request: HttpRequest) -> StreamingHttpResponse:
    """A sync generator, but no events."""
    return StreamingHttpResponse(listen(), content_type="text/csv")


async def async_events(request: HttpRequest) -> StreamingHttpResponse:
    """Holds no thread."""
    count = sum(each for each in range(3))

    async def events() -> AsyncIterator[str]:
        yield f"data: {count}\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream")


urls = [
    path("events/module/", module_events),
    path("events/nested/", nested_events),
    path("events/class/", ClassEvents.as_view()),
    path("events/async/", async_events),
    path("export/", export),
    path("count/<str:key>/", count),
    path("open/<str:key>/", open_door),
    path("held/<str:key>/", held),
    path("quiet/<str:key>/", quiet),
    path("endless/<str:key>/", endless),
    path("failing/<str:key>/", failing),
    path("sized/<str:key>/", sized),
    path("overtime/<str:key>/", overtime),
    path("queries/<str:key>/", queries),
    path("wrapped/<str:key>/", wrapped),
    path("file/<str:key>/", file),
]

# -- middleware ------------------------------------------------------------------------------------


def keyed_sync(get_response: Any) -> Any:
    """Sync-only. Sets the context variable by the path."""

    def middleware(request: HttpRequest) -> Any:
        set_key(request)
        response = get_response(request)
        response["x-sync-only"] = "passed"
        return response

    return middleware


@sync_and_async_middleware
def keyed(get_response: Any) -> Any:
    """The same for both kinds of chain."""
    if not asyncio.iscoroutinefunction(get_response):
        return keyed_sync(get_response)

    async def middleware(request: HttpRequest) -> Any:
        set_key(request)
        return await get_response(request)

    return middleware


def set_key(request: HttpRequest) -> None:
    parts = request.path.split("/")
    if "streams" in parts and parts[-3] not in ("count", "open", "quiet"):
        key_of_request.set(parts[-2])


def wrap_sync(get_response: Any) -> Any:
    """Puts a sync generator around each stream, as middleware does that was made for WSGI."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        if response.streaming:
            response.streaming_content = (b"<" + each for each in response.streaming_content)
        return response

    return middleware


def wrap_async(get_response: Any) -> Any:
    """Puts an async generator around each async stream."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        if response.streaming and response.is_async:
            response.streaming_content = bracketed(response.streaming_content)
        return response

    return middleware


async def bracketed(content: Any) -> AsyncIterator[bytes]:
    async for each in content:
        yield b"<" + each + b">"

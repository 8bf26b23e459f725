"""Run as a script: counts how often Django's own ASGI handler hands a request to a thread.

Input: chains of middleware, as JSON on stdin. Output, as JSON on stdout: for each chain and each
kind of view the counted number, and the numbers computed from the middleware as
:mod:`bridge.contrib.django.hops` and as :mod:`bridge.migrate.introspect_script` describe them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.template import engines
from django.template.response import TemplateResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import async_only_middleware, sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from bridge.contrib.django.chain import ChainRecorder
from bridge.contrib.django.hops import thread_hops
from bridge.migrate.facts import MiddlewareFact
from bridge.migrate.hops import hops
from bridge.migrate.introspect_script import probe_middleware
from tests.django import project  # settings first

submitted: list[object] = []


class Templated(MiddlewareMixin):
    """Has every hook."""

    def process_request(self, request: Any) -> None: ...

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None: ...

    def process_template_response(self, request: Any, response: Any) -> Any:
        return response

    def process_exception(self, request: Any, exception: Any) -> None: ...


@sync_and_async_middleware
def both(get_response: Any) -> Any:
    """Runs in both kinds of chain, without a thread."""
    if iscoroutinefunction(get_response):

        async def middleware(request: Any) -> Any:
            return await get_response(request)

        return middleware
    return project.sync_only(get_response)


@async_only_middleware
def async_only(get_response: Any) -> Any:
    """Cannot run in a sync chain."""

    async def middleware(request: Any) -> Any:
        return await get_response(request)

    return middleware


class AsyncHook:
    """Not a ``MiddlewareMixin``; its ``process_view`` is a coroutine function."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        return await self.get_response(request)

    async def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None: ...


def templated(request: HttpRequest) -> TemplateResponse:
    """Rendered after the view."""
    return TemplateResponse(request, engines["django"].from_string("hello"))


urlpatterns = [
    path("sync/", project.sync_view),
    path("async/", project.async_view),
    path("template/", templated),
]
VIEWS = {
    "/sync/": {},
    "/async/": {"async_view": True},
    "/template/": {"template_response": True},
}


def count(cls: Any) -> None:
    """Record each job that is submitted to an executor of this class."""
    original = cls.submit

    def submit(self: Any, *args: Any, **kwargs: Any) -> Any:
        submitted.append(self)
        return original(self, *args, **kwargs)

    cls.submit = submit


async def count_jobs(handler: ASGIHandler, path: str) -> int:
    """Make one request, as a server does.

    :returns: the number of jobs.
    """
    submitted.clear()
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")]}
    await handler(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return len(submitted)


def probe(path: str) -> MiddlewareFact:
    """What `bridge migrate` knows about a middleware."""
    data = probe_middleware(path)
    lists = {name: tuple(each) for name, each in data.items() if isinstance(each, list)}
    return MiddlewareFact(**{**data, **lists})


class Recorder(ChainRecorder, ASGIHandler):
    """Django's own; records which middleware are in use."""


def main() -> None:
    """Count every chain and view."""
    for cls in (ThreadPoolExecutor, CurrentThreadExecutor):
        count(cls)
    rows: list[dict[str, Any]] = []
    for chain in json.load(sys.stdin):
        with override_settings(MIDDLEWARE=chain, ROOT_URLCONF=__name__):
            described = [link.describe() for link in Recorder().links()]
            probed = [probe(path) for path in chain]
            handler = ASGIHandler()
            for view, kind in VIEWS.items():
                asyncio.run(count_jobs(handler, view))  # the first one imports, and fills caches
                rows.append(
                    {
                        "chain": chain,
                        "view": view,
                        "counted": asyncio.run(count_jobs(handler, view)),
                        "described": thread_hops(described, **kind),
                        "probed": len(
                            hops(
                                probed,
                                is_async_view=view == "/async/",
                                is_template=view == "/template/",
                            )
                        ),
                    }
                )
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()

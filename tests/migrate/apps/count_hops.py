"""Counts what Django's ASGI handler submits to executors, for each chain of middleware.

Input: the source of the introspection script, on stdin. Output: JSON on stdout: for each chain and
view, the probed facts and the number of submissions of one request. Runs in a subprocess, because
it replaces ``submit``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from asgiref.current_thread_executor import CurrentThreadExecutor
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import async_only_middleware, sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

ME = "tests.migrate.apps.count_hops."


class Hooks(MiddlewareMixin):
    def process_request(self, request: Any) -> None: ...

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None: ...

    def process_template_response(self, request: Any, response: Any) -> Any:
        return response

    def process_response(self, request: Any, response: Any) -> Any:
        return response


class AsyncView(MiddlewareMixin):
    async def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None: ...


class SyncOnly:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None: ...


class SyncOnlyMixin(Hooks):
    async_capable = False


@async_only_middleware
def async_only(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        return await get_response(request)

    return middleware


def plain(get_response: Any) -> Any:
    return lambda request: get_response(request)


@sync_and_async_middleware
def either(get_response: Any) -> Any:
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(get_response):

        async def middleware(request: Any) -> Any:
            return await get_response(request)

        return middleware
    return lambda request: get_response(request)


class NotUsed(SyncOnly):
    def __init__(self, get_response: Any) -> None:
        raise MiddlewareNotUsed


def sync_view(request: Any) -> Any:
    return HttpResponse("ok")


async def async_view(request: Any) -> Any:
    return HttpResponse("ok")


def template_view(request: Any) -> Any:
    return SimpleTemplateResponse(engines["django"].from_string("ok"))


STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
CHAINS: dict[str, list[str]] = {
    "none": [],
    "startproject": STARTPROJECT,
    "hooks": [ME + "Hooks", ME + "Hooks"],
    "sync-only outermost": [ME + "SyncOnly", *STARTPROJECT],
    "sync-only innermost": [*STARTPROJECT, ME + "SyncOnly"],
    "sync-only in the middle": [*STARTPROJECT[:3], ME + "plain", *STARTPROJECT[3:]],
    "two sync-only": [ME + "Hooks", ME + "plain", ME + "Hooks", ME + "SyncOnlyMixin", ME + "Hooks"],
    "async-only around sync-only": [ME + "async_only", ME + "Hooks", ME + "plain", ME + "Hooks"],
    "async-only between sync-only": [ME + "plain", ME + "async_only", ME + "plain", ME + "Hooks"],
    "not used": [ME + "NotUsed", ME + "AsyncView", ME + "either", *STARTPROJECT],
}
VIEWS: dict[str, Any] = {"sync": sync_view, "async": async_view, "template": template_view}
urlpatterns = [path(name, view) for name, view in VIEWS.items()]


class Counter:
    """Counts submissions to thread pools and to waiting threads."""

    def __init__(self) -> None:
        self.number = 0
        for executor in (ThreadPoolExecutor, CurrentThreadExecutor):
            self._wrap(executor)

    def _wrap(self, executor: Any) -> None:
        submit = executor.submit

        def counted(this: Any, *args: Any, **kwargs: Any) -> Any:
            self.number += 1
            return submit(this, *args, **kwargs)

        executor.submit = counted


async def get(handler: Any, url: str) -> int:
    """The status of one request."""
    messages: list[Any] = []
    never = asyncio.Event()
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not body:
            await never.wait()
        return body.pop()

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": url, "headers": [], "query_string": b""}
    await handler(scope, receive, send)
    return int(messages[0]["status"])


def main() -> None:
    apps = ["auth", "contenttypes", "sessions", "messages"]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="x",
        ROOT_URLCONF="tests.migrate.apps.count_hops",
        INSTALLED_APPS=[f"django.contrib.{name}" for name in apps],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )
    django.setup()
    script = types.ModuleType("script")
    exec(sys.stdin.read(), script.__dict__)
    counter = Counter()
    rows = [_row(script, counter, name, view) for name in CHAINS for view in VIEWS]
    print(json.dumps(rows))


def _row(script: Any, counter: Counter, name: str, view: str) -> dict[str, Any]:
    with override_settings(MIDDLEWARE=CHAINS[name]):
        facts = [script.probe_middleware(each) for each in CHAINS[name]]
        handler = ASGIHandler()
        before = counter.number
        status = asyncio.run(get(handler, f"/{view}"))
    number = counter.number - before
    return {"chain": name, "view": view, "facts": facts, "status": status, "counted": number}


if __name__ == "__main__":
    main()

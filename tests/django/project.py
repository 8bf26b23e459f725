"""A Django project in one file, with a view of every kind. Runs in a separate server process.

Input: settings to add or to replace, as JSON in ``BRIDGE_TEST_DJANGO``; options of
`get_asgi_application` in ``BRIDGE_TEST_DJANGO_OPTIONS``. Output: ``app``, whose views answer with
JSON that describes where they ran.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from contextvars import ContextVar
from functools import partial, wraps
from io import BytesIO
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings

from tests.django.names import HERE, STARTPROJECT

DEFAULTS: dict[str, Any] = {
    "SECRET_KEY": "only for tests",
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": "tests.django.urls",
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "django.contrib.admin",
    ],
    "MIDDLEWARE": [
        *STARTPROJECT,
        "django.middleware.locale.LocaleMiddleware",
        f"{HERE}.OtherUrlconf",
        f"{HERE}.NotUsed",
    ],
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    "STATIC_URL": "static/",
    "MEDIA_URL": "media/",
    "USE_TZ": True,
    "LANGUAGES": [("en", "English"), ("de", "Deutsch")],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "DATA_UPLOAD_MAX_MEMORY_SIZE": 1000,
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "loggers": {
            name: {"handlers": ["stderr"], "level": "INFO"} for name in ("django", "bridge")
        },
    },
}

if not settings.configured:
    settings.configure(**{**DEFAULTS, **json.loads(os.environ.get("BRIDGE_TEST_DJANGO", "{}"))})

from django.core.exceptions import MiddlewareNotUsed  # noqa: E402  # needs the settings
from django.core.files.storage import default_storage  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
    UnreadablePostError,
)
from django.templatetags.static import static  # noqa: E402
from django.utils.deprecation import MiddlewareMixin  # noqa: E402
from django.utils.functional import SimpleLazyObject  # noqa: E402
from django.views import View  # noqa: E402

import bridge  # noqa: E402
from bridge.contrib.django import get_asgi_application  # noqa: E402
from tests.harness.control import gate, report  # noqa: E402

tenant: ContextVar[str] = ContextVar("tenant")
lazy: ContextVar[Any] = ContextVar("lazy")

# -- views -----------------------------------------------------------------------------------------


def facts(request: Any, **more: Any) -> dict[str, Any]:
    """Where a view runs."""
    try:
        loop = id(asyncio.get_running_loop())
    except RuntimeError:
        loop = None
    return {
        "request": type(request).__name__,
        "thread": threading.current_thread().name,
        "loop": loop,
        "path": request.path,
        "path_info": request.path_info,
        "user": str(getattr(request, "user", "")),
        "remote_user": request.META.get("REMOTE_USER"),
        "spoofed": request.META.get("HTTP_X_SPOOFED"),
        "urlconf": str(getattr(request, "urlconf", None)),
        "tenant": tenant.get("-"),
        **more,
    }


def sync_view(request: HttpRequest, **arguments: Any) -> JsonResponse:
    """A plain function."""
    return JsonResponse(facts(request, kind="sync", arguments=str(arguments)))


async def async_view(request: HttpRequest, **arguments: Any) -> JsonResponse:
    """A coroutine function."""
    return JsonResponse(facts(request, kind="async", arguments=str(arguments)))


def kept_alive(request: HttpRequest) -> JsonResponse:
    """Sets a hop-by-hop header, as many event streams for ASGI do."""
    return JsonResponse(facts(request), headers={"Connection": "keep-alive"})


async def async_kept_alive(request: HttpRequest) -> JsonResponse:
    """The same, from a coroutine function."""
    return kept_alive(request)


class SyncClass(View):
    """Sync methods."""

    def get(self, request: HttpRequest) -> JsonResponse:
        return sync_view(request)


class AsyncClass(View):
    """Async methods: ``view_is_async``."""

    async def get(self, request: HttpRequest) -> JsonResponse:
        return await async_view(request)


class MarkedInstance:
    """A callable object that is marked as a coroutine function."""

    def __init__(self) -> None:
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> JsonResponse:
        return await async_view(request)


def wrapped_in_sync(view: Any) -> Any:
    """A decorator without support for async views: the coroutine is never awaited."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


async_partial = partial(async_view, by="partial")


def echo(request: HttpRequest) -> JsonResponse:
    """The request's body."""
    if "x-key" in request.headers:
        report(request.headers["x-key"], "reading")
    return JsonResponse(facts(request, kind="sync", body=request.body.decode()))


def too_long(request: HttpRequest) -> HttpResponse:
    """A body that is longer than its Content-Length."""
    return HttpResponse(b"0123456789", headers={"Content-Length": "4"})


def read(request: HttpRequest) -> JsonResponse:
    """The request's body, read as a file."""
    report(request.headers["x-key"], "reading")
    try:
        return JsonResponse({"length": len(request.read())})
    except UnreadablePostError as error:
        return JsonResponse({"cause": str(error.__cause__)}, status=400)


def upload(request: HttpRequest) -> JsonResponse:
    """A form with a file."""
    report(request.headers["x-key"], "reading")
    if "x-body-first" in request.headers:
        assert request.body
    uploaded: Any = request.FILES
    files = {name: file.read().decode() for name, file in uploaded.items()}
    return JsonResponse({"fields": request.POST.dict(), "files": files})


def scope_seen(request: Any) -> JsonResponse:
    """The scope, as a sync view sees it."""
    return JsonResponse({"type": request.scope["type"], "state": str(request.scope.get("state"))})


def links(request: HttpRequest) -> JsonResponse:
    """The URLs that templates write with ``{% static %}`` and ``{{ file.url }}``."""
    return JsonResponse({"static": static("a.css"), "media": default_storage.url("a.png")})


def backend() -> dict[str, Any]:
    """The PostgreSQL backend of this thread, and the name of the thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    return {"pid": pid, "thread": threading.current_thread().name}


def sync_query(request: HttpRequest) -> JsonResponse:
    """Makes one query."""
    return JsonResponse(backend())


async def async_query(request: HttpRequest) -> JsonResponse:
    """Makes two queries, as Django's own async ORM does."""
    first, second = await sync_to_async(backend)(), await sync_to_async(backend)()
    return JsonResponse({**first, "same": first == second, "request": type(request).__name__})


# -- streams ---------------------------------------------------------------------------------------


def sync_stream(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Chunks from a plain generator, one each time that the gate opens."""

    def chunks() -> Any:
        try:
            for number in range(3):
                gate(key, "chunk")
                yield f"{number};"
        finally:
            report(key, "closed", thread=threading.current_thread().name)

    return StreamingHttpResponse(chunks())


async def mixed_stream(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """A plain generator from a coroutine function, which has used the database before."""
    used = await sync_to_async(threading.get_ident)()

    def chunks() -> Any:
        try:
            for number in range(3):
                gate(key, "chunk")
                yield f"{number};"
        finally:
            is_same = threading.get_ident() == used
            report(key, "closed", is_same=is_same, request=type(request).__name__)

    return StreamingHttpResponse(chunks())


async def short_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Three chunks from an async generator."""

    async def chunks() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield f"{number};"

    return StreamingHttpResponse(chunks())


async def missing(request: HttpRequest) -> JsonResponse:
    """Raises what becomes a 404."""
    raise Http404("no such tide")


class Reported(BytesIO):
    """A file that reports when it is closed, and how much of it was read by then."""

    def __init__(self, content: bytes, key: str) -> None:
        super().__init__(content)
        self._key = key

    def close(self) -> None:
        if not self.closed:
            report(self._key, "closed", read=self.tell())
        super().close()


async def async_file(request: HttpRequest, key: str) -> FileResponse:
    """A file of 64 MiB, from a coroutine function."""
    return FileResponse(Reported(bytes(2**26), key), filename="a.bin")


async def async_stream(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """The same from an async generator."""
    kind = type(request).__name__

    async def chunks() -> Any:
        try:
            for number in range(3):
                await asyncio.to_thread(gate, key, "chunk")
                yield f"{number};"
        finally:
            report(key, "closed", thread=threading.current_thread().name, request=kind)

    return StreamingHttpResponse(chunks())


# -- middleware ------------------------------------------------------------------------------------


class OtherUrlconf(MiddlewareMixin):
    """Sets another URLconf if a header requests it, as packages for several hosts do."""

    def process_request(self, request: Any) -> None:
        if "x-urlconf" in request.headers:
            request.urlconf = request.headers["x-urlconf"]


def NotUsed(get_response: Any) -> Any:
    """Sync-only, and not used."""
    raise MiddlewareNotUsed


def sync_only(get_response: Any) -> Any:
    """A middleware without support for async."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        response["x-sync-only"] = "passed"
        return response

    return middleware


class OwnCall(MiddlewareMixin):
    """Inherits ``async_capable = True``, but does not support it."""

    def __call__(self, request: HttpRequest) -> Any:
        response: Any = self.get_response(request)
        response["x-own-call"] = "passed"
        return response


class Scoped(MiddlewareMixin):
    """Sets a variable before the view, and resets it by its token after."""

    def process_request(self, request: Any) -> None:
        request.before = tenant.get("-")
        request.token = tenant.set(request.headers.get("x-tenant", "nobody"))

    def process_response(self, request: Any, response: Any) -> Any:
        response["x-before"] = request.before
        response["x-within"] = tenant.get("-")
        tenant.reset(request.token)
        response["x-after"] = tenant.get("-")
        return response


class SeesScoped(MiddlewareMixin):
    """Around the former: its variable is reset here."""

    def process_request(self, request: Any) -> None:
        request.outer = tenant.get("-")

    def process_response(self, request: Any, response: Any) -> Any:
        response["x-outer"] = f"{request.outer}{tenant.get('-')}"
        return response


class Evaluated(Exception):
    pass


def fail_to_evaluate() -> None:
    raise Evaluated


class Lazy(MiddlewareMixin):
    """Sets a variable to a lazy object whose evaluation fails."""

    def process_request(self, request: Any) -> None:
        lazy.set(SimpleLazyObject(fail_to_evaluate))


class ForgetsSuper(MiddlewareMixin):
    """Before Django 5.1, which checks ``async_mode``, an async chain did not run its hooks."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if hasattr(self, "async_mode") else self._call(request)

    async_capable = True  # set here, so that the override of __call__ is not checked

    def _call(self, request: HttpRequest) -> Any:
        response: Any = self.get_response(request)
        response["x-own-call"] = "passed"
        return response


# -- the app ---------------------------------------------------------------------------------------


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app with a lifespan. It answers with the state of the lifespan."""
    if scope["type"] == "lifespan":
        await receive()
        if os.environ.get("BRIDGE_TEST_FAILS") == "startup":
            await send({"type": "lifespan.startup.failed", "message": "no tide today"})
            return
        print("websocket app: startup", flush=True)
        scope["state"]["tide"] = "high"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("websocket app: shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = f"{scope['state']['tide']}: {message['text']}"
        await send({"type": "websocket.send", "text": text})


def trusted(scope: Any) -> dict[str, str]:
    """The user that an authenticating proxy names. Trusts every client: a test."""
    names = [value.decode() for name, value in scope["headers"] if name == b"x-proxy-user"]
    return {"REMOTE_USER": names[0]} if names else {}


options = json.loads(os.environ.get("BRIDGE_TEST_DJANGO_OPTIONS", "{}"))
given = options.pop("websocket", False)
if given:
    kinds = {"mapping": {"/ws": websocket}, "path": "tests.django.project_routes.application"}
    options["websocket"] = kinds.get(given, websocket)
if options.pop("trusted", False):
    options["trusted_environ"] = trusted
if "limits" in options:
    options["limits"] = {path: bridge.Limit(**each) for path, each in options["limits"].items()}
app = get_asgi_application(**options)

if os.environ.get("BRIDGE_TEST_MIGRATE"):
    from django.core.management import call_command

    call_command("migrate", verbosity=0)

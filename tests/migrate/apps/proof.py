"""A Django project whose middleware depends on the first segment of the path.

Input: requests such as ``/m202/sync`` and ``/m206/async``. Output: the logged-in user as JSON, or
the response of the middleware. ``wsgi`` is for gunicorn, ``native`` for Django's own ASGI handler,
``through_bridge`` for that of bridge: each has one Django application per variant, created with
the middleware of that variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

import bridge
from bridge.contrib.django import get_asgi_application as bridge_application
from bridge.types import AsgiApp, WsgiApp

ME = "tests.migrate.apps.proof."
VARIANTS = {
    "m202": [ME + "OverridesCall"],
    "m202-handed-on": [ME + "HandsOn"],
    "m202-early": [ME + "AnswersSome"],
    "m203": [ME + "ForgetsSuper"],
    "m206": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
    "e104": [],
}


class OverridesCall(MiddlewareMixin):
    def __call__(self, request: HttpRequest) -> Any:
        response = self.get_response(request)
        response["X-Middleware"] = "here"  # type: ignore[index]  # a coroutine, under ASGI
        return response


class HandsOn(MiddlewareMixin):
    def __call__(self, request: HttpRequest) -> Any:
        response = super().__call__(request)
        return response  # noqa: RET504 - this form is under test


class AnswersSome(MiddlewareMixin):
    def __call__(self, request: HttpRequest) -> Any:
        if "up" in request.GET:
            return JsonResponse({"user": "", "up": True})
        return super().__call__(request)


class ForgetsSuper(MiddlewareMixin):
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.async_mode = False  # Django 4.2 behaves so without it

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Middleware"] = "here"
        return response


def sync_view(request: HttpRequest) -> HttpResponse:
    user = getattr(request, "user", None)
    return JsonResponse({"user": user.get_username() if user else ""})


async def async_view(request: HttpRequest) -> HttpResponse:
    auser = getattr(request, "auser", None)
    user = await auser() if auser else None
    return JsonResponse({"user": user.get_username() if user else ""})


urlpatterns = [
    path("", sync_view),
    path("<str:variant>/sync", lambda request, variant: sync_view(request)),
]


async def async_route(request: HttpRequest, variant: str) -> HttpResponse:
    return await async_view(request)


urlpatterns.append(path("<str:variant>/async", async_route))


def wrapped(app: WsgiApp) -> WsgiApp:
    """WSGI middleware, as in a ``wsgi.py`` (E104)."""

    def middleware(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Wsgi-Middleware", "here")], exc_info)

        return app(environ, start)

    return middleware


def variants(make: Callable[[], Any]) -> dict[str, Any]:
    """An application for each variant."""
    apps: dict[str, Any] = {}
    for name, middleware in VARIANTS.items():
        with override_settings(MIDDLEWARE=middleware):
            apps[name] = make()
    return apps


def segment(where: str) -> str:
    found = where.split("/")[1]
    return found if found in VARIANTS else "e104"


settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="x" * 50,
    ROOT_URLCONF="tests.migrate.apps.proof",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:proof?mode=memory&cache=shared",
        }
    },
)
django.setup()
call_command("migrate", verbosity=0)  # the open connection of this thread keeps the tables


def _wsgi() -> WsgiApp:
    from django.core.wsgi import get_wsgi_application

    apps = variants(get_wsgi_application)
    apps["e104"] = wrapped(apps["e104"])

    def dispatch(environ: Any, start_response: Any) -> Iterable[bytes]:
        chosen: WsgiApp = apps[segment(environ["PATH_INFO"])]
        return chosen(environ, start_response)

    return dispatch


def _asgi(make: Callable[[], Any], **others: AsgiApp) -> AsgiApp:
    apps: dict[str, AsgiApp] = {**variants(make), **others}

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        name = "m202" if scope["type"] == "lifespan" else segment(scope["path"])
        await apps[name](scope, receive, send)

    return dispatch


def _native() -> AsgiApp:
    from django.core.asgi import get_asgi_application

    return _asgi(get_asgi_application)


def _through_bridge() -> AsgiApp:
    with override_settings(MIDDLEWARE=[]):
        from django.core.wsgi import get_wsgi_application

        wsgi_application = get_wsgi_application()
    return _asgi(bridge_application, e104=bridge.to_asgi(wrapped(wsgi_application)))


def __getattr__(name: str) -> Any:
    """Create only the application that a server imports."""
    makers: dict[str, Callable[[], Any]] = {
        "wsgi": _wsgi,
        "native": _native,
        "through_bridge": _through_bridge,
    }
    if name not in makers:
        raise AttributeError(name)
    globals()[name] = makers[name]()
    return globals()[name]

"""The script that introspects a Django project, run from stdin by the project's own interpreter.

Input: the path of the output file, as the only argument; ``DJANGO_SETTINGS_MODULE`` in the
environment; the project's folder as the current one. Output: JSON in that file. Runs on: the main
thread of its own process.

Needs only the standard library of Python 3.8 or newer and the project's Django: the script is
passed as text, so `bridge` need not be installed there.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = (
    "ALLOWED_HOSTS ASGI_APPLICATION CACHES CHANNEL_LAYERS DATABASES DEBUG "
    "FILE_UPLOAD_HANDLERS FORCE_SCRIPT_NAME INSTALLED_APPS MIDDLEWARE ROOT_URLCONF "
    "SECURE_PROXY_SSL_HEADER SESSION_ENGINE STATICFILES_STORAGE STATIC_URL STORAGES "
    "USE_X_FORWARDED_HOST USE_X_FORWARDED_PORT WHITENOISE_AUTOREFRESH WSGI_APPLICATION"
)
PACKAGES = (
    "a2wsgi asgiref channels daphne django django-debug-toolbar djangorestframework flask "
    "flask-sock flask-socketio gevent gunicorn eventlet hypercorn granian uvicorn uwsgi whitenoise "
    "wsgi-asgi-bridge"
)
HOOKS = "process_request process_view process_template_response process_exception process_response"
SETS_USER = re.compile(r"\breq(?:uest)?\.user\s*=(?!=)")
PYTHON = ".".join(str(part) for part in sys.version_info[:3])
EMPTY: dict[str, Any] = {
    "python": PYTHON,
    "django": "",
    "settings": {},
    "middleware": [],
    "views": [],
    "packages": {},
}
SECRET = ("PASSWORD", "USER", "SECRET", "KEY", "TOKEN", "PASSFILE", "SERVICE")


def main(out: str, targets: list[str]) -> None:
    facts = django_facts() if os.environ.get("DJANGO_SETTINGS_MODULE") else EMPTY
    part = f"{out}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({**facts, "targets": resolve(targets)}, file)
    os.replace(part, out)  # whoever waits for the file finds all of it


def django_facts() -> dict[str, Any]:
    import django

    django.setup()
    return collect_facts()


def collect_facts() -> dict[str, Any]:
    """All facts. Needs ``django.setup()``."""
    import django
    from django.conf import settings

    return {
        "python": PYTHON,
        "django": django.get_version(),
        "settings": collect_settings(settings),
        "middleware": [probe_middleware(path) for path in settings.MIDDLEWARE],
        "views": views(settings),
        "packages": packages(),
    }


# -- settings --------------------------------------------------------------------------------------


def collect_settings(settings: Any) -> dict[str, Any]:
    names = [name for name in SETTINGS.split() if hasattr(settings, name)]
    return {name: plain(getattr(settings, name)) for name in names}


def plain(value: Any) -> Any:
    """The value for JSON, without secrets; other types as text."""
    if isinstance(value, dict):
        items = ((str(key), each) for key, each in value.items())
        return {key: plain(each) for key, each in items if not is_secret(key)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value) if type(value).__module__.startswith(("django.", "pathlib")) else repr(value)


def is_secret(key: str) -> bool:
    return any(word in key.upper() for word in SECRET)


# -- middleware ------------------------------------------------------------------------------------


def probe_middleware(path: str) -> dict[str, Any]:
    from django.core.exceptions import MiddlewareNotUsed
    from django.utils.module_loading import import_string

    fact: dict[str, Any] = {"path": path}
    try:
        factory = import_string(path)
        fact.update(describe(factory))
        instance = instantiate(factory, fact["async_capable"])
    except MiddlewareNotUsed:
        fact["is_used"] = False
        return fact
    except Exception as error:
        fact["error"] = f"{type(error).__name__}: {error}"
        return fact
    fact.update(hooks(factory, instance))
    return fact


def describe(factory: Any) -> dict[str, Any]:
    file, line = place(factory)
    return {
        "file": file,
        "line": line,
        "sync_capable": bool(getattr(factory, "sync_capable", True)),
        "async_capable": bool(getattr(factory, "async_capable", False)),
        "sets_user": sets_user(factory),
    }


def sets_user(factory: Any) -> bool:
    """Whether its code, or that of its bases, assigns ``request.user``."""
    classes = inspect.getmro(factory) if inspect.isclass(factory) else [inspect.unwrap(factory)]
    return any(SETS_USER.search(source(each)) for each in classes)


def source(subject: Any) -> str:
    try:
        return inspect.getsource(subject)
    except (OSError, TypeError):
        return ""


def instantiate(factory: Any, is_async: bool) -> Any:
    """An instance, as Django creates it when the server starts."""

    def get_response(request: object) -> None:
        raise RuntimeError("bridge migrate runs no requests")

    async def get_response_async(request: object) -> None:
        raise RuntimeError("bridge migrate runs no requests")

    return factory(get_response_async if is_async else get_response)


def hooks(factory: Any, instance: Any) -> dict[str, Any]:
    from django.utils.deprecation import MiddlewareMixin

    present = [name for name in HOOKS.split() if hasattr(instance, name)]
    is_class = inspect.isclass(factory)
    is_mixin = is_class and issubclass(factory, MiddlewareMixin)
    own_call = is_mixin and factory.__call__ is not MiddlewareMixin.__call__
    own_acall = is_mixin and factory.__acall__ is not MiddlewareMixin.__acall__
    native = [name for name in present if is_native(instance, name)]
    if own_acall or own_call or not is_mixin:  # its own code calls these two, if at all
        native += [name for name in ("process_request", "process_response") if name in present]
    return {
        "hooks": present,
        "native_hooks": sorted(set(native)),
        "is_mixin": is_mixin,
        "overrides_call": own_call and not inspect.iscoroutinefunction(factory.__call__),
        "trusts_header": trusts_header(instance),
    }


def is_native(instance: Any, name: str) -> bool:
    return inspect.iscoroutinefunction(getattr(instance, name))


def trusts_header(instance: Any) -> bool:
    """Whether under ASGI it reads the user's name from a request header that WSGI does not read.

    Runs it with a request without headers, whose ``META`` records the keys that are looked up.
    """
    try:
        from django.contrib.auth.middleware import RemoteUserMiddleware

        if not isinstance(instance, RemoteUserMiddleware):
            return False
        request, keys = recording_request()
        coroutine = instance.aprocess_request(request)
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        coroutine.close()
        return any(key != instance.header for key in keys)
    except Exception:  # before Django 5.2 it has no async form, and META no such key
        return False


def recording_request() -> tuple[Any, list[str]]:
    """A request, and the list of the ``META`` keys that are looked up in it."""
    from django.core.handlers.asgi import ASGIRequest

    keys: list[str] = []

    class Meta(dict):  # type: ignore[type-arg]  # Python 3.8
        def __missing__(self, key: str) -> str:
            keys.append(key)
            raise KeyError(key)

    class AnonymousUser:
        is_authenticated = False

    async def auser() -> AnonymousUser:
        return AnonymousUser()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    request: Any = ASGIRequest(scope, io.BytesIO())
    request.META, request.user, request.auser = Meta(), AnonymousUser(), auser
    return request, keys


# -- views -----------------------------------------------------------------------------------------


def views(settings: Any) -> list[dict[str, Any]]:
    from django.urls import get_resolver

    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    return list(walk(get_resolver().url_patterns, ""))


def walk(patterns: Any, prefix: str) -> Iterator[dict[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern).lstrip("^")
        if hasattr(pattern, "url_patterns"):
            yield from walk(pattern.url_patterns, route)
        else:
            yield view_fact(pattern.callback, route)


def view_fact(view: Any, route: str) -> dict[str, Any]:
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    subject = cls or unwrapped(view)
    file, line = place(subject)
    module = getattr(subject, "__module__", "") or ""
    name = getattr(subject, "__qualname__", type(subject).__qualname__)
    return {
        "route": route,
        "name": f"{module}.{name}",
        "file": file,
        "line": line,
        "is_async": is_coroutine_function(view),
        "is_template": cls is not None and hasattr(cls, "render_to_response"),
        "non_atomic": sorted(getattr(view, "_non_atomic_requests", ())),
    }


def is_coroutine_function(view: Any) -> bool:
    """Django's own test: class-based views are marked, and are not coroutine functions."""
    try:
        from asgiref.sync import iscoroutinefunction  # asgiref is a dependency of Django
    except ImportError:  # before 3.6
        return inspect.iscoroutinefunction(view)
    return bool(iscoroutinefunction(view))


def unwrapped(view: Any) -> Any:
    while hasattr(view, "func"):  # functools.partial
        view = view.func
    return inspect.unwrap(view)


def place(subject: Any) -> tuple[str, int]:
    try:
        return inspect.getsourcefile(subject) or "", inspect.getsourcelines(subject)[1]
    except (OSError, TypeError):
        return "", 0


# -- targets ---------------------------------------------------------------------------------------


def resolve(targets: list[str]) -> dict[str, str]:
    """Why there is no app of this name, as ``mysite.wsgi:application``; empty if there is one."""
    return {target: failure_of(target) for target in targets}


def failure_of(target: str) -> str:
    from importlib import import_module

    name, _, attribute = target.partition(":")
    try:
        found: Any = import_module(name)
        for each in attribute.partition("(")[0].split("."):
            found = getattr(found, each)
    except ImportError as error:
        is_own = error.name is not None and f"{name}.".startswith(f"{error.name}.")
        return f"{type(error).__name__}: {error}" if is_own else ""
    except AttributeError as error:
        return f"AttributeError: {error}" if name in sys.modules else ""
    except (Exception, SystemExit):
        return ""  # there is one, and it needs what only the deployment has
    return "" if callable(found) else f"{attribute} is a {type(found).__name__}, not an app"


# -- packages --------------------------------------------------------------------------------------


def packages() -> dict[str, str]:
    from importlib import metadata

    found: dict[str, str] = {}
    for name in PACKAGES.split():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

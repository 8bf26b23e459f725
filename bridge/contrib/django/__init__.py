"""`get_asgi_application`: a drop-in for Django's own, with sync views at the speed of WSGI.

::

    from bridge.contrib.django import get_asgi_application

    application = get_asgi_application()

Input: the settings, as Django reads them. Output: an app for ASGI servers and for WSGI servers.
Runs where the project's ``asgi.py`` is imported: on the main thread, before any event loop.
Importing this module imports nothing of Django.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

from bridge.config import one_of, positive_number
from bridge.contrib.django.options import DjangoKeywords, check_django_names
from bridge.errors import AmbiguousApp, ConfigError
from bridge.interface import interface_of
from bridge.router.router import Router
from bridge.types import AsgiApp, LifespanMode

if TYPE_CHECKING:
    from bridge.contrib.django.application import DjangoApplication

__all__ = ["get_asgi_application"]


def get_asgi_application(
    websocket: AsgiApp | str | Mapping[str, Any] | None = None,
    *,
    lifespan: LifespanMode = "auto",
    startup_timeout_s: float = 30,
    **options: Unpack[DjangoKeywords],
) -> DjangoApplication:
    """Set Django up and return the project as an ASGI app.

    Replaces ``django.core.asgi.get_asgi_application``. Sync views run entirely on long-lived worker
    threads, through Django's WSGI handler. Async views run on the event loop, through Django's ASGI
    handler, if their middleware allows it. No setting is required.

    :param websocket: the ASGI app that gets the WebSockets, such as Channels' ``URLRouter`` in its
        ``AuthMiddlewareStack``; or its dotted path, which is imported once Django is set up,
        because consumers import models; or a mapping of path prefixes to either, as for
        :class:`bridge.Router`. Without it WebSockets are refused, with a line in the log.
    :param lifespan: of the ``websocket`` app: ``"auto"`` runs it if the app has one, ``"on"``
        makes it an error if the app has none, ``"off"`` does not run it. Django itself has none.
    :param startup_timeout_s: how long the startup of that app may take, in seconds.
    :param options: those of :class:`~bridge.WsgiToAsgi`: ``threads``, ``backlog``,
        ``trusted_environ`` and so on; and those for WebSockets on WSGI servers, as for
        :class:`~bridge.AsgiToWsgi`: ``websockets``, ``max_message_bytes`` and so on.
        ``trusted_environ`` applies to async views, too; ``buffer_request_bytes`` and
        ``body_timeout_s`` do not, because Django's ASGI handler reads the whole body on the event
        loop before an async view runs.
    :raises ConfigError: an option is wrong.
    :raises ImproperlyConfigured: Django's, for wrong settings.
    """
    import django

    check_django_names(options)
    positive_number("startup_timeout_s", startup_timeout_s)
    one_of("lifespan", lifespan, ("auto", "on", "off"))
    django.setup(set_prefix=False)
    from bridge.contrib.django.application import DjangoApplication

    return DjangoApplication(_websocket_app(websocket), lifespan, startup_timeout_s, **options)


def _websocket_app(websocket: Any) -> AsgiApp | None:
    """
    :raises ConfigError: it is not an ASGI app.
    """
    if websocket is None:
        return None
    if isinstance(websocket, str):
        websocket = _import(websocket)
    if isinstance(websocket, Mapping):
        apps = {prefix: _websocket_app(app) for prefix, app in websocket.items()}
        return cast("AsgiApp", Router({}, websocket=apps))
    if isinstance(websocket, (list, tuple)):
        raise ConfigError(
            "websocket",
            websocket,
            "an ASGI app, or {prefix: ASGI app}. A list of URL patterns becomes one through "
            "channels.routing.URLRouter(...)",
        )
    try:
        is_asgi = interface_of(websocket) == "asgi"
    except AmbiguousApp as error:
        raise ConfigError("websocket", websocket, f"an ASGI app. {error}") from error
    if not is_asgi:
        raise ConfigError("websocket", websocket, "an ASGI app; WSGI has no WebSockets")
    return cast("AsgiApp", websocket)


def _import(path: str) -> Any:
    """
    :raises ConfigError: there is no such module, or it has no such attribute. An error inside the
        module is raised unchanged.
    """
    from django.utils.module_loading import import_string

    module = path.rpartition(".")[0]
    try:
        return import_string(path)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise  # a module that this one imports
        takes = f"the dotted path of an ASGI app, package.module.name ({error})"
        raise ConfigError("websocket", path, takes) from error

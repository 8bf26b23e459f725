"""`Mount`: an app of a Router with more than its prefix, as the user writes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, Unpack

from bridge.config import ToAsgiKeywords, one_of
from bridge.dual import Universal
from bridge.errors import ConfigError
from bridge.router.options import check_mount_options
from bridge.types import AsgiApp, WsgiApp

__all__ = ["AnyApp", "ImplicitMount", "Mount", "VisiblePath"]

AnyApp: TypeAlias = AsgiApp | WsgiApp | Universal | Any
VisiblePath = Literal["auto", "whole", "below"]


@dataclass(frozen=True, init=False)
class Mount:
    """What a :class:`~bridge.Router` mounts at one prefix, where the app alone is not enough.

    ::

        bridge.Router({"/": flask_app, "/live": bridge.Mount(http=page, websocket=chat)})
        bridge.Router({"/": shop, "/reports": bridge.Mount(reports, threads=8, backlog=50)})

    :param http: the app that gets HTTP requests. None: they go to the app at a shorter prefix.
    :param websocket: the ASGI app that gets WebSockets. None: they go to the app at a shorter
        prefix.
    :param path: what an ASGI app finds in its scope's ``path``. ``"whole"``: the path with the
        prefix, which is in ``root_path``, too; this is what the ASGI specification requires since
        2.3. ``"below"``: the path below the prefix, for frameworks that ignore ``root_path``.
        ``"auto"``: ``"below"`` for Falcon and Sanic, which do that, and ``"whole"`` for all others.
    :param options: of :class:`~bridge.WsgiToAsgi`, for a WSGI app ``http``, which runs on threads
        of its own then, whatever the others do. Options that are not given are the Router's, except
        ``executor`` and ``limits``. On WSGI servers the app occupies at most ``threads`` of the
        server's threads, and one more request is answered with 503.
    :raises ConfigError: both apps are None, or an argument has a value that is not allowed.
    """

    http: AnyApp | None = None
    websocket: AnyApp | None = None
    path: VisiblePath = "auto"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __init__(
        self,
        http: AnyApp | None = None,
        websocket: AnyApp | None = None,
        *,
        path: VisiblePath = "auto",
        **options: Unpack[ToAsgiKeywords],
    ) -> None:
        one_of("path", path, ("auto", "whole", "below"))
        if http is None and websocket is None:
            raise ConfigError("Mount", None, "an app for http=, one for websocket=, or both")
        given = dict(options)
        check_mount_options(given)
        if given and http is None:
            option, value = next(iter(given.items()))
            raise ConfigError(option, value, "an app for http=: WebSockets take no thread")
        for name, each in {"http": http, "websocket": websocket, "path": path}.items():
            object.__setattr__(self, name, each)
        object.__setattr__(self, "options", given)

    def __repr__(self) -> str:
        given = {"http": self.http, "websocket": self.websocket, "path": self.path, **self.options}
        shown_options = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({shown_options})"


class ImplicitMount(Mount):
    """The mount of an app that was given alone: for HTTP, and for WebSockets if it is ASGI."""

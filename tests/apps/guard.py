"""A guard in front of apps that bridge adapts, and apps behind it: each reports the path it sees.

The guard is middleware as users write it: it reads the path, where the app is mounted and the path
below that, and reports them in the header ``x-guard``. The apps report the same in the body, with
their name; in a WebSocket both send it as a message. The request header ``x-root`` makes the guard
set a root path, as ``FastAPI(root_path=...)`` does; ``x-through`` names the app behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette._utils import get_route_path

import bridge
from bridge.types import AsgiApp, Environ, Message, Receive, Scope, Send, StartResponse, WsgiApp
from tests.harness.http import Response

MOUNTS = ("", "/admin", "/admin/files", "/api", "/caf\xe9")
"""Of the Router: every second app is ASGI."""


def mount_of(path: str) -> str:
    """The longest prefix that is the path, or that ends at one of its slashes."""
    return max(
        (at for at in MOUNTS if path == at or path.startswith(f"{at}/")), key=len, default=""
    )


def asgi_seen(scope: Scope) -> tuple[str, str]:
    """The root path and the path below it, as Starlette computes them."""
    root: str = (scope.get("root_path") or "").strip("/")
    root = f"/{root}" if root else ""
    return root, get_route_path({**scope, "root_path": root})


def wsgi_seen(environ: Environ) -> tuple[str, str]:
    """``SCRIPT_NAME`` and ``PATH_INFO``, decoded."""
    script_name, path_info = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    root = _decoded(script_name).strip("/")
    return f"/{root}" if root else "", _decoded(path_info)


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


# -- the apps --------------------------------------------------------------------------------------


def asgi_app(name: str) -> AsgiApp:
    """An ASGI app that reports its name and what it sees."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = json.dumps([name, *asgi_seen(scope)]).encode()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": body.decode()})
            return
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return app


def wsgi_app(name: str) -> WsgiApp:
    """A WSGI app that reports its name and what it sees."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = json.dumps([name, *wsgi_seen(environ)]).encode()
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return app


def router(**options: Any) -> bridge.Router:
    """A Router of apps of both kinds, each named by its prefix, two of them in a nested Router."""
    apps = {at: (asgi_app if n % 2 else wsgi_app)(at) for n, at in enumerate(MOUNTS)}
    mounts: dict[str, Any] = {at or "/": app for at, app in apps.items()}
    inner = {"/": mounts.pop("/admin"), "/files": mounts.pop("/admin/files")}
    nested = bridge.Router(inner, lifespan="off")
    sockets = {at or "/": asgi_app(at) for at in MOUNTS}
    return bridge.Router({**mounts, "/admin": nested}, websocket=sockets, lifespan="off", **options)


# -- the guard -------------------------------------------------------------------------------------


def asgi_guard(apps: Mapping[str, AsgiApp]) -> AsgiApp:
    """The guard in front of each of ``apps``."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await apps["router"](scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["path"]
        if "x-root" in headers:
            scope["root_path"] = headers["x-root"]
        seen = json.dumps([path, *asgi_seen(scope)]).encode()

        async def report(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-guard", seen)]
            await send(message)
            if message["type"] == "websocket.accept":
                await send({"type": "websocket.send", "text": seen.decode()})

        await apps[headers.get("x-through", "adapter")](scope, receive, report)

    return guard


def wsgi_guard(apps: Mapping[str, WsgiApp]) -> WsgiApp:
    """The guard in front of each of ``apps``."""

    def guard(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        _, path = wsgi_seen(environ)
        if "HTTP_X_ROOT" in environ:
            environ["SCRIPT_NAME"] = environ["HTTP_X_ROOT"]
        seen = json.dumps([path, *wsgi_seen(environ)])

        def report(status: str, headers: Any, exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("x-guard", seen)], exc_info)

        return apps[environ.get("HTTP_X_THROUGH", "adapter")](environ, report)

    return guard


# -- what both must agree on -----------------------------------------------------------------------


def problem_behind_guard(kind: str, through: str, response: Response) -> str | None:
    """How the app's path, or that no app was called, differs from what the guard saw.

    :param kind: of the server: ``"asgi"`` or ``"wsgi"``. In WSGI a path may be empty.
    :param through: ``"router"``, or an adapter of one app.
    """
    path, root, route = json.loads(response.header("x-guard") or "null")
    is_path = path[:1] == "/" or path == "*" or (kind == "wsgi" and not path)
    if not is_path or response.status >= 400:
        return None if response.status == 400 and not is_path else f"for {path!r}"
    name, app_root, app_route = response.json()
    mount = mount_of(route) if through == "router" else ""
    if app_root != root + mount or (mount + app_route or "/") != (route or "/"):
        return f"{name!r} saw {app_root!r} {app_route!r} where the guard saw {root!r} {route!r}"
    return None if through != "router" or name == mount else f"{route!r} reached {name!r}"

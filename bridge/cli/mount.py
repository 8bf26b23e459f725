"""An app below ``--root-path``, in the same way on every server, whatever its own option means.

What enters: an app and a path such as ``/shop``. What leaves: the app as it sees itself mounted
there. A proxy in front may strip the path from the request or leave it: both arrive the same.
Each runs where the server calls the app.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction

from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["mount_asgi", "mount_wsgi", "plain_asgi"]


def plain_asgi(app: Any) -> AsgiApp:
    """``app`` as what no server can mistake: daphne and uvicorn take some ASGI 3 apps for ASGI 2.

    Those are classes, and callables that return a coroutine without being ``async def``.
    """
    if iscoroutinefunction(app) or iscoroutinefunction(type(app).__call__):
        found: AsgiApp = app
        return found

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return asgi


def mount_asgi(app: AsgiApp, root_path: str) -> AsgiApp:
    """``app`` with ``root_path`` in its scopes; ``path`` includes it (ASGI HTTP spec 2.3)."""
    if not root_path:
        return app
    raw_root = quote(root_path).encode("ascii")

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        if "path" in scope:
            scope = {**scope, "root_path": root_path + scope.get("root_path", "")}
            scope["path"] = _below(root_path, scope["path"])
            raw_path = scope.get("raw_path")
            if raw_path is not None and not _is_below(raw_root, raw_path, b"/"):
                scope["raw_path"] = raw_root + raw_path
        await app(scope, receive, send)

    return mounted


def mount_wsgi(app: WsgiApp, root_path: str) -> WsgiApp:
    """``app`` with ``root_path`` as its ``SCRIPT_NAME``, and not in ``PATH_INFO`` (PEP 3333).

    ``RAW_URI`` and ``REQUEST_URI``, where the server gives them, begin with it too.
    """
    if not root_path:
        return app
    root = root_path.encode("utf-8").decode("latin-1")
    raw_root = quote(root_path)

    def mounted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = _below(root, environ.get("PATH_INFO", ""))[len(root) :]
        environ["SCRIPT_NAME"] = root + environ.get("SCRIPT_NAME", "")
        for key in ("RAW_URI", "REQUEST_URI"):
            if environ.get(key, "").startswith("/"):
                environ[key] = _uri_below(raw_root, environ[key])
        return app(environ, start_response)

    return mounted


def _below(root: str, path: str) -> str:
    return path if _is_below(root, path, "/") else root + path


def _uri_below(root: str, uri: str) -> str:
    path, question_mark, query = uri.partition("?")
    return _below(root, path) + question_mark + query


def _is_below(root: Any, path: Any, slash: Any) -> bool:
    """Whether ``path`` is ``root`` or in it: only a whole segment counts."""
    return bool(path == root or path.startswith(root + slash))

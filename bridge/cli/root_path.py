"""``--root-path``: an app below a path, in the same way on every server.

The servers' own options of that name differ. A proxy in front may strip the path from requests or
not: the app sees the same in both cases. The wrapped apps run where the server calls the app.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge._http.paths import below_root, include_root, native, quoted, with_root
from bridge._http.prefixes import normal_prefix
from bridge.cli.options import UsageError
from bridge.errors import ConfigError
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["mount_asgi", "mount_wsgi", "normal_healthz", "normal_root_path"]


def normal_root_path(text: str) -> str:
    """``shop/`` and ``/shop`` as ``/shop``; ``/`` as the empty string.

    :raises UsageError: it is a URL, has a query or fragment, or is otherwise not a path prefix.
    """
    try:
        return normal_prefix(f"/{text.strip('/')}")
    except ConfigError:
        raise UsageError(f"--root-path takes a path such as /shop, not {text!r}") from None


def normal_healthz(text: str | None) -> str | None:
    """The value of ``--healthz``, without a slash at its end.

    :raises UsageError: it is not a path, or it is the root.
    """
    if text is None:
        return None
    try:
        path = normal_prefix(text)
    except ConfigError:
        path = ""
    if not path:
        raise UsageError(f"--healthz takes a path such as /healthz, not {text!r}")
    return path


def mount_asgi(app: AsgiApp, root_path: str) -> AsgiApp:
    """``app`` with ``root_path`` in its scopes; ``path`` includes it (ASGI HTTP spec 2.3)."""
    if not root_path:
        return app

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        if "path" in scope:
            scope = {**scope, "root_path": root_path + (scope.get("root_path") or "")}
            include_root(scope, root_path)
        await app(scope, receive, send)

    return mounted


def mount_wsgi(app: WsgiApp, root_path: str) -> WsgiApp:
    """``app`` with ``root_path`` as its ``SCRIPT_NAME`` and not in ``PATH_INFO`` (PEP 3333).

    ``RAW_URI`` and ``REQUEST_URI``, where the server sets them, start with it too.
    """
    if not root_path:
        return app
    root = native(root_path)
    raw_root = quoted(root_path)

    def mounted(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = below_root(root, environ.get("PATH_INFO", ""))
        environ["SCRIPT_NAME"] = root + environ.get("SCRIPT_NAME", "")
        for key in ("RAW_URI", "REQUEST_URI"):
            if environ.get(key, "").startswith("/"):
                environ[key] = _uri_below(raw_root, environ[key])
        return app(environ, start_response)

    return mounted


def _uri_below(root: str, uri: str) -> str:
    path, question_mark, query = uri.partition("?")
    return with_root(root, path) + question_mark + query

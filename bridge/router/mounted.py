"""What a mounted app sees of its prefix. Pure; on the event loop, or on the thread of a WSGI app.

Input: an app and its prefix. Output: an app that takes the scopes or environs that a Router has
chosen for the prefix, and passes each on as the app has to see it.

ASGI HTTP specification 2.3: ``root_path`` is where the app is mounted, and ``path`` includes it. If
a server has removed it from ``path``, it is added again for mounted apps. ``raw_path`` is what the
client has sent, and changes only together with ``path``. An app that is mounted at ``/`` and has
stored nothing in the lifespan's state gets the server's own scope: nothing has to be changed.

PEP 3333 ("environ Variables"): ``SCRIPT_NAME`` is where the app is mounted, ``PATH_INFO`` the rest.
Both are latin-1 decoded bytes, so the prefix is here, too. ``RAW_URI`` stays what the client has
sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from bridge._frameworks.facts import ROUTING_KEYS
from bridge._http.answers import not_found
from bridge._http.paths import below, include_root_path, native, normal_root, quoted
from bridge._lifespan.many import AppState
from bridge.types import AsgiApp, Environ, Receive, Scope, Send, StartResponse, WsgiApp

__all__ = ["mounted_asgi", "mounted_wsgi"]


def mounted_asgi(prefix: str, app: AsgiApp, state: AppState, *, sees_below: bool) -> AsgiApp:
    """An ASGI app.

    :param prefix: normal.
    :param state: what the app has stored in its state.
    :param sees_below: its ``path`` begins after the prefix.
    """
    return _MountedAsgi(prefix, app, state, sees_below=sees_below).serve


def mounted_wsgi(prefix: str, app: WsgiApp) -> WsgiApp:
    """A WSGI app.

    :param prefix: normal.
    """
    return partial(_call_below, native(prefix), app) if prefix else app


class _MountedAsgi:
    __slots__ = ("app", "prefix", "sees_below", "state")

    def __init__(self, prefix: str, app: AsgiApp, state: AppState, *, sees_below: bool) -> None:
        self.app = app
        self.prefix = prefix
        self.state = state
        self.sees_below = sees_below

    def serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        added = self.state.namespace and self.state.added()
        if self.prefix or added or self.sees_below or "router" in scope:
            scope = self._own_scope(added, scope)
        return self.app(scope, receive, send)

    def _own_scope(self, added: dict[str, Any], scope: Scope) -> Scope:
        """A copy of the scope (ASGI specification, "Middleware": never change the server's)."""
        copy = {**scope}
        if added:
            copy["state"] = {**(scope.get("state") or {}), **added}
        if "router" in copy:
            for key in ROUTING_KEYS:
                copy.pop(key, None)
        if self.prefix or self.sees_below:
            if copy.get("root_path"):
                include_root_path(copy)
            copy["root_path"] = (copy.get("root_path") or "") + self.prefix
        if self.sees_below:
            _strip_root_path(copy)
        return copy


def _strip_root_path(copy: dict[str, Any]) -> None:
    """Remove ``root_path`` from ``path`` and ``raw_path``."""
    root = copy["root_path"]
    rest = below(root, copy["path"])
    if rest is None:  # the * of OPTIONS *
        return
    copy["path"] = rest or "/"
    raw_path = copy.get("raw_path")
    if raw_path is not None:
        raw_root = b"/".join(raw_path.split(b"/", root.count("/") + 1)[: root.count("/") + 1])
        if unquote_to_bytes(raw_root) == root.encode("utf-8"):
            copy["raw_path"] = raw_path[len(raw_root) :] or b"/"
        else:  # an encoded slash in the prefix itself
            copy["raw_path"] = quoted(copy["path"]).encode("ascii")


def _call_below(
    prefix: str, app: WsgiApp, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    rest = below(prefix, environ.get("PATH_INFO", ""))
    if rest is None:  # trusted_environ has replaced the path
        return not_found(environ, start_response)
    environ["SCRIPT_NAME"] = normal_root(environ.get("SCRIPT_NAME", "")) + prefix
    environ["PATH_INFO"] = rest
    return app(environ, start_response)

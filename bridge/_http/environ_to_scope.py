"""Converts a PEP 3333 environ to an ASGI ``http`` scope (spec 2.5). Pure; any thread.

Strings of the environ hold latin-1 decoded bytes. In the scope, ``path`` and ``root_path`` are
decoded as UTF-8, and headers are bytes with lower-case names.

An environ that has crossed the bridge before still has the scope that it was made from, in
``asgi.scope``. Whatever is unchanged since is taken from there: header lines that had to be joined
for the environ, keys and extensions that CGI has no names for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bridge._frameworks.facts import INPUTS_WITH_AN_END
from bridge._http.header_names import KNOWN_NAMES
from bridge._http.learning_table import LearningTable
from bridge._http.paths import NO_PATH, is_path, normal_root, quoted
from bridge._http.rules import OWS, BadRequest, LengthRequired, parse_length, request_length
from bridge._http.scope_to_environ import server_name_and_port
from bridge._http.silent import SilentMapping
from bridge._observe.record import RECORD
from bridge.types import Environ, RawHeaders, Scope

__all__ = ["body_length", "build_scope", "build_websocket_scope", "is_websocket"]

NO_MARKS: Mapping[str, Any] = {}
ASGI_VERSION = {"version": "3.0", "spec_version": "2.5"}

# Set from the environ each time; any other key of an earlier scope is passed on.
_OWN_KEYS = frozenset(
    (
        "type",
        "asgi",
        "http_version",
        "method",
        "scheme",
        "path",
        "raw_path",
        "query_string",
        "root_path",
        "headers",
        "client",
        "server",
        "state",
        "extensions",
        "wsgi_environ",
    )
)
# Only the keys without HTTP_ belong to the request; a client could contradict them with these.
_NO_HEADERS = ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
_OTHER_KEYS = """
AUTH_TYPE DOCUMENT_ROOT GATEWAY_INTERFACE HTTPS PATH_INFO PATH_TRANSLATED QUERY_STRING RAW_URI
REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_PORT REMOTE_USER REQUEST_METHOD REQUEST_SCHEME
REQUEST_URI SCRIPT_FILENAME SCRIPT_NAME SERVER_ADDR SERVER_ADMIN SERVER_NAME SERVER_PORT
SERVER_PROTOCOL SERVER_SIGNATURE SERVER_SOFTWARE asgi.scope bridge.request gunicorn.socket
waitress.client_disconnected werkzeug.socket wsgi.early_hints wsgi.errors wsgi.file_wrapper
wsgi.input wsgi.input_terminated wsgi.multiprocess wsgi.multithread wsgi.run_once wsgi.url_scheme
wsgi.version
"""


def build_scope(
    environ: Environ, state: Mapping[str, Any], marks: Mapping[str, Any] = NO_MARKS
) -> Scope:
    """The scope of ``environ``.

    :param state: of the lifespan, for every request; copied one level deep.
    :param marks: keys to add.
    :raises BadRequest: a value that no server should accept.
    """
    path: str = environ.get("PATH_INFO", "")
    if path[:1] != "/" and path and not is_path(path):
        raise BadRequest(NO_PATH)
    root_path: str = environ.get("SCRIPT_NAME", "")
    if root_path:
        root_path = normal_root(root_path)
    if path != "*":
        path = root_path + path or "/"  # RFC 9112, 3.2.1: an empty path is "/"
    raw_path = _raw_path(environ, path)
    if not (path.isascii() and root_path.isascii()):
        path = path.encode("latin-1").decode("utf-8", "replace")
        root_path = root_path.encode("latin-1").decode("utf-8", "replace")
    protocol: str = environ["SERVER_PROTOCOL"]
    silent = SilentMapping()
    silent.mapping = environ
    scope: Scope = {
        "type": "http",
        "asgi": ASGI_VERSION.copy(),
        "http_version": "1.1" if protocol == "HTTP/1.1" else _version(protocol),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path,
        "raw_path": raw_path,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root_path,
        "headers": _headers(environ),
        "client": _client(environ),
        "server": _server(environ),
        "state": {**state},
        "extensions": _extensions(environ),
        "wsgi_environ": silent,
        **marks,
    }
    if RECORD in environ:
        scope[RECORD] = environ[RECORD]
    if "asgi.scope" in environ:
        _pass_on(scope, environ["asgi.scope"], environ)
    return scope


def build_websocket_scope(
    environ: Environ,
    state: Mapping[str, Any],
    subprotocols: list[str],
    marks: Mapping[str, Any] = NO_MARKS,
) -> Scope:
    """The scope of a WebSocket, from the environ of its handshake (ASGI WebSocket spec 2.5).

    Its environ is without what belongs to the server's request, which ends with the handshake.

    :param subprotocols: that the client offers.
    :param marks: keys to add.
    :raises BadRequest: a value that no server should accept.
    """
    scope = build_scope(environ, state, marks)
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = subprotocols
    scope["extensions"] = {"websocket.http.response": {}}
    scope["wsgi_environ"].mapping = {
        key: value for key, value in environ.items() if key not in _OF_THE_REQUEST
    }
    return scope


_OF_THE_REQUEST = frozenset(
    (
        "gunicorn.socket",
        "werkzeug.request",
        "werkzeug.socket",
        "wsgi.early_hints",
        "wsgi.file_wrapper",
        "wsgi.input",
    )
)
"""Keys whose values would keep the server's request in memory."""


def is_websocket(environ: Environ) -> bool:
    """Whether the client asks to switch to the WebSocket protocol (RFC 6455, 4.1).

    An ``Upgrade`` without ``Connection: upgrade``, of another method than GET, or over HTTP/1.0 is
    ignored (RFC 9110, 7.8), as ASGI servers do: the request is an ordinary one.
    """
    upgrade: str = environ.get("HTTP_UPGRADE", "")
    if upgrade.strip(OWS).lower() != "websocket" or environ["REQUEST_METHOD"] != "GET":
        return False
    options: str = environ.get("HTTP_CONNECTION", "")
    asks = "upgrade" in [option.strip(OWS).lower() for option in options.split(",")]
    return asks and environ.get("SERVER_PROTOCOL") != "HTTP/1.0"


def body_length(environ: Environ) -> int | None:
    """The length of the request body, in bytes; None if it ends where ``wsgi.input`` does.

    :raises BadRequest: Content-Length is not a number.
    :raises LengthRequired: the body is chunked, and the server passes the chunks on undecoded.
    """
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    length: str = environ.get("CONTENT_LENGTH") or ""
    if coding is None:
        if length == "0":
            return 0
        if length:
            return _length(environ)
        if environ["SERVER_PROTOCOL"] in ("HTTP/1.1", "HTTP/1.0"):
            return 0  # RFC 9112, 6.3: without either header there is none
    if environ.get("wsgi.input_terminated"):
        return None
    if length:
        # The length of the decoded body (RFC 3875, 4.1.2): nginx's uwsgi_pass decodes it and keeps
        # the header. wsgiref passes on what the client sends, which must not be both (RFC 9112,
        # 6.2); the two cases look the same here.
        return _length(environ)
    if coding is None:
        return 0
    if type(environ["wsgi.input"]).__module__ in INPUTS_WITH_AN_END:
        return None
    raise LengthRequired(
        "this server does not decode chunked request bodies, so their end is unknown. "
        "Send a Content-Length"
    )


def _length(environ: Environ) -> int:
    length = parse_length(environ["CONTENT_LENGTH"])
    if length is None:
        length = request_length(environ["CONTENT_LENGTH"])
        environ["CONTENT_LENGTH"] = str(length)  # the app gets it without the space around it
    return length


# -- the path --------------------------------------------------------------------------------------


def _raw_path(environ: Environ, path: str) -> bytes:
    """The path as the client sent it, if the server passes it on and it is unchanged since.

    :param path: as latin-1 decoded bytes.
    """
    uri: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if uri:
        raw = uri.partition("?")[0]
        if raw == path and "%" not in raw:
            return raw.encode("latin-1")
        if raw[:1] != "/":
            raw = _origin_form(raw)
        if unquote_to_bytes(raw.encode("latin-1")) == path.encode("latin-1"):
            return raw.encode("latin-1")
    return quoted(path.encode("latin-1")).encode("ascii")


def _origin_form(uri: str) -> str:
    """The path of an absolute URI, as a proxy's client sends it (RFC 9112, 3.2.2)."""
    _, separator, rest = uri.partition("://")
    if not separator:
        return uri
    return "/" + rest.partition("/")[2]


def _version(protocol: str) -> str:
    """``HTTP/2.0`` and ``HTTP/2`` are ``"2"`` in ASGI; ``HTTP/1.0`` stays ``"1.0"``."""
    version = protocol.partition("/")[2] or "1.1"
    return version if version.startswith("1") else version.removesuffix(".0")


# -- headers ---------------------------------------------------------------------------------------


def _headers(environ: Environ) -> RawHeaders:
    names = _names
    headers: RawHeaders = []
    for key, value in environ.items():
        try:
            name = names[key]
        except KeyError:
            name = _name(key)
        if name is not None and (value or key[:5] == "HTTP_"):
            headers.append((name, value.encode("latin-1")))
    if "asgi.scope" in environ:
        return _restore_lines(headers, environ["asgi.scope"]["headers"])
    return headers


def _name(key: str) -> bytes | None:
    """The header name of an environ key; None for any other key."""
    name = _header_name(key)
    _learned_names.learn(key, name, len(key))
    return name


def _header_name(key: str) -> bytes | None:
    if key == "CONTENT_TYPE" or key == "CONTENT_LENGTH":
        return key.lower().replace("_", "-").encode("latin-1")
    if key.startswith("HTTP_") and key not in _NO_HEADERS:
        return key[5:].lower().replace("_", "-").encode("latin-1")
    return None


_KNOWN_KEYS = (
    *("HTTP_" + name.upper().replace("-", "_") for name in KNOWN_NAMES),
    *("CONTENT_TYPE", "CONTENT_LENGTH"),
    *_OTHER_KEYS.split(),
)
_learned_names: LearningTable[str, bytes | None] = LearningTable(
    {key: _header_name(key) for key in _KNOWN_KEYS}
)
_names = _learned_names.entries  # None: no header


def _restore_lines(headers: RawHeaders, originals: RawHeaders) -> RawHeaders:
    """The lines that were joined for the environ, where its value is still theirs.

    Lines with a ``_`` in their name were either joined with the others, or dropped.
    """
    lines: dict[bytes, list[int]] = {}
    for index, (name, _) in enumerate(originals):
        lines.setdefault(bytes(name).lower().replace(b"_", b"-"), []).append(index)
    kept: list[int] = []
    changed: RawHeaders = []
    for name, value in headers:
        found = lines.get(name, [])
        without_underscore = [index for index in found if b"_" not in originals[index][0]]
        for indexes in (without_underscore, found):
            values = [bytes(originals[index][1]) for index in indexes]
            if values and value in (b",".join(values), b"; ".join(values)):
                kept += indexes
                break
        else:
            changed.append((name, value))
    return [originals[index] for index in sorted(kept)] + changed


# -- peers -----------------------------------------------------------------------------------------


def _client(environ: Environ) -> tuple[str, int] | None:
    host = environ.get("REMOTE_ADDR")
    return (host, _port(environ.get("REMOTE_PORT")) or 0) if host else None


def _server(environ: Environ) -> tuple[str, int | None] | None:
    if not environ.get("REMOTE_ADDR"):
        path = _unix_socket(environ)
        if path is not None:
            return path, None
    name = environ.get("SERVER_NAME")
    return (name, _port(environ.get("SERVER_PORT"))) if name else None


def _port(text: Any) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError):  # waitress has "None", gunicorn nothing on a Unix socket
        return None


def _unix_socket(environ: Environ) -> str | None:
    """The path of the Unix socket that gunicorn listens on: SERVER_NAME comes from Host then."""
    try:
        name = environ["gunicorn.socket"].getsockname()
    except (KeyError, AttributeError, OSError):
        return None
    return name if isinstance(name, str) and name else None


# -- extensions ------------------------------------------------------------------------------------


def _extensions(environ: Environ) -> dict[str, Any]:
    if "wsgi.early_hints" in environ:
        return {"http.response.pathsend": {}, "http.response.early_hint": {}}
    return {"http.response.pathsend": {}}


def _pass_on(scope: Scope, earlier: SilentMapping, environ: Environ) -> None:
    """Keys and extensions that CGI has no names for, from the scope before the crossing.

    Among them is the address of a Unix socket. Extensions that are messages to the server are left
    out: it is not this app's server.
    """
    for key, value in earlier.items():
        if key not in _OWN_KEYS:
            scope[key] = value
    server = earlier.get("server")
    address = environ.get("SERVER_NAME"), environ.get("SERVER_PORT")
    if address == server_name_and_port(server, earlier.get("scheme", "http")):
        scope["server"] = server
    for name, value in (earlier.get("extensions") or {}).items():
        if not name.startswith(("http.response.", "websocket.")):
            scope["extensions"][name] = value

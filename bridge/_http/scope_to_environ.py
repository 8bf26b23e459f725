"""Converts an ASGI ``http`` scope (spec 2.0 to 2.5) to a PEP 3333 environ. Pure; any thread.

The environ is a plain dict, complete except for ``wsgi.input``. Every CGI value is a native string
of latin-1 decoded bytes (PEP 3333, "Unicode Issues").

Nothing a client sends can set a key other than ``HTTP_*``, ``CONTENT_TYPE`` and
``CONTENT_LENGTH``: ``REMOTE_USER`` and its like come only from ``trusted_environ``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bridge._http.client_text import ClientText, literal
from bridge._http.header_names import KNOWN_NAMES
from bridge._http.learning_table import LearningTable
from bridge._http.paths import NO_PATH, below, is_path, normal_root, quoted
from bridge._http.rules import OWS, BadRequest, parse_length, request_length
from bridge._http.sendfile import FileWrapper
from bridge._http.silent import SilentMapping
from bridge._observe.record import RECORD
from bridge._version import __version__
from bridge.errors import AppProtocolError
from bridge.types import Environ, RawHeaders, Scope, TrustedEnviron, UnderscoreHeaders

__all__ = ["EnvironBuilder", "server_name_and_port", "split_path"]

ADDRESSES = 64
"""How many addresses of the server, with scheme and version, are remembered at a time. Behind a
proxy all three may come from the client."""
LONGEST_ADDRESS = 300
"""Room for a host name, or for the path of a socket."""
_RENEWED = ("HTTP_", "CONTENT_", "wsgi.")  # set anew from the scope
TLS_VERSIONS = {0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2"}
TLS_VERSIONS[0x0304] = "TLSv1.3"


class EnvironBuilder:
    """Builds environs according to the options of one adapter.

    :param underscore_headers: what happens to header names with a ``_``: ``x_remote_user`` would
        become the same ``HTTP_X_REMOTE_USER`` as ``x-remote-user``.
    :param duplicate_header_limit: how many lines of one header are accepted; None: any number.
    :param trusted_environ: given the scope, returns keys to add, such as ``REMOTE_USER``.
    """

    def __init__(
        self,
        *,
        underscore_headers: UnderscoreHeaders = "drop",
        duplicate_header_limit: int | None = 100,
        trusted_environ: TrustedEnviron | None = None,
    ) -> None:
        self._underscore_headers = underscore_headers
        self._duplicate_header_limit = duplicate_header_limit
        self._trusted_environ = trusted_environ
        self._learned_keys = LearningTable(_KNOWN_KEYS)
        self._keys = self._learned_keys.entries
        self._addresses: LearningTable[tuple[Any, str, str], Environ] = LearningTable(
            most=ADDRESSES, longest=LONGEST_ADDRESS
        )
        self._prototypes = self._addresses.entries
        self._marks: Environ = {}

    def mark(self, key: str) -> None:
        """Set ``key`` in each environ from now on. Before the first is built."""
        self._marks[key] = True

    def build(self, scope: Scope) -> Environ:
        """The environ of ``scope``, without ``wsgi.input``.

        :raises BadRequest: conflicting or malformed Content-Length, too many lines of one header, a
            request target that is not a path.
        :raises AppProtocolError: ``trusted_environ`` returned something other than strings.
        """
        environ = self._prototype(scope).copy()
        environ["REQUEST_METHOD"] = scope["method"]
        path: str = scope["path"]
        root_path = scope.get("root_path")
        if not root_path and path[:1] == "/" and path.isascii():
            environ["PATH_INFO"] = path
        else:
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = split_path(scope, root_path or "")
        uri = _raw_uri(scope)
        query = scope.get("query_string")
        if query:
            environ["QUERY_STRING"] = query = query.decode("latin-1")
            uri = f"{uri}?{query}"
        environ["RAW_URI"] = environ["REQUEST_URI"] = uri
        client = scope.get("client")
        if client and client[0]:
            environ["REMOTE_ADDR"] = client[0]
            environ["REMOTE_PORT"] = str(client[1])
        else:  # a unix socket: granian says ("", 0)
            del environ["REMOTE_PORT"]
        environ["wsgi.errors"] = sys.stderr
        silent = SilentMapping()
        silent.mapping = scope
        environ["asgi.scope"] = silent
        if RECORD in scope:
            environ[RECORD] = scope[RECORD]
        self._add_headers(environ, scope["headers"])
        extensions = scope.get("extensions")
        if extensions and extensions.get("tls") is not None:
            _add_tls(environ, extensions["tls"])
        if "wsgi_environ" in scope:
            _pass_on(environ, scope["wsgi_environ"])
        if self._trusted_environ is not None:
            environ.update(_checked(self._trusted_environ(scope)))
        return environ

    def _prototype(self, scope: Scope) -> Environ:
        """The part that is the same for all requests to one address of the server."""
        server = scope.get("server")
        scheme = scope.get("scheme", "http")
        version = scope.get("http_version", "1.1")
        try:
            return self._prototypes[server, scheme, version]
        except (KeyError, TypeError):  # daphne gives a list
            prototype = _make_prototype(server, scheme, version) | self._marks
        if type(server) is tuple:
            length = len(str(server)) + len(scheme) + len(version)
            self._addresses.learn((server, scheme, version), prototype, length)
        return prototype

    def _add_headers(self, environ: Environ, headers: RawHeaders) -> None:
        keys = self._keys
        before = len(environ)
        try:
            for name, value in headers:
                environ[keys[name]] = value.decode("latin-1")
        except KeyError:
            self._add_unusual_headers(environ, headers)
        else:
            if len(environ) != before + len(headers):
                self._add_unusual_headers(environ, headers)
        if "CONTENT_LENGTH" in environ:
            if parse_length(environ["CONTENT_LENGTH"]) is None:
                environ["CONTENT_LENGTH"] = str(request_length(environ["CONTENT_LENGTH"]))
            if "HTTP_TRANSFER_ENCODING" in environ:  # RFC 9112, 6.1: an attempt at smuggling
                raise BadRequest("both Content-Length and Transfer-Encoding")

    def filtered(self, headers: RawHeaders) -> RawHeaders:
        """The headers for an app that gets a scope, under the rules of :meth:`build`.

        :returns: all but those that :meth:`build` leaves out: names with a ``_``, unless they are
            kept, and repetitions of a header that must have one value.
        :raises BadRequest: as :meth:`build`.
        """
        environ: Environ = {}
        self._add_headers(environ, headers)
        if len(environ) == len(headers):
            return headers
        seen: set[str] = set()
        kept: RawHeaders = []
        for name, value in headers:
            key = self._keys.get(name) or self._key(name)
            if key is not None and not (key in _SINGLE and key in seen):
                seen.add(key)
                kept.append((name, value))
        return kept

    def _add_unusual_headers(self, environ: Environ, headers: RawHeaders) -> None:
        """Headers whose names are new, or repeated, or dropped."""
        values: dict[str, list[str]] = {}
        for name, value in headers:
            key = self._keys.get(name) or self._key(name)
            if key is not None:
                values.setdefault(key, []).append(value.decode("latin-1"))
        for key, lines in values.items():
            environ[key] = lines[0] if len(lines) == 1 else self._joined(key, lines)

    def _key(self, name: bytes) -> str | None:
        """The environ key of a header name; None where the header is dropped."""
        if b"_" in name and self._underscore_headers != "keep":
            if self._underscore_headers == "refuse":
                raise BadRequest(
                    f"the header name {literal(name.decode('latin-1'))} has an underscore"
                )
            return None
        key = _environ_key(name)
        self._learned_keys.learn(bytes(name), key, len(name))
        return key

    def _joined(self, key: str, lines: list[str]) -> str:
        """The value of a header that has several lines."""
        limit = self._duplicate_header_limit
        if limit is not None and len(lines) > limit:
            raise BadRequest(
                f"{len(lines)} lines of one header ({ClientText(key)}); "
                f"at most {limit} are accepted"
            )
        if key in _SINGLE:
            one, *others = dict.fromkeys(line.strip(OWS) for line in lines)
            if others:
                raise BadRequest(
                    f"conflicting {_SINGLE[key]}: {ClientText(one)}, {ClientText(others[0])}"
                )
            return one
        if key == "HTTP_COOKIE":
            return "; ".join(lines)  # RFC 6265, 5.4; RFC 9113, 8.2.3
        return ",".join(lines)  # RFC 9110, 5.2


def _environ_key(name: bytes) -> str:
    key = name.upper().replace(b"-", b"_").decode("latin-1")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


_KNOWN_KEYS = {name.encode("ascii"): _environ_key(name.encode("ascii")) for name in KNOWN_NAMES}

_SINGLE = {"CONTENT_LENGTH": "Content-Length", "HTTP_HOST": "Host"}
"""Headers in which proxy and app must not see two values (RFC 9110, 8.6; RFC 9112, 3.2)."""


def server_name_and_port(server: Any, scheme: str) -> tuple[str, str]:
    """``SERVER_NAME`` and ``SERVER_PORT`` for the ``server`` and the ``scheme`` of a scope."""
    host, port = server or ("localhost", None)
    if not port or port == "0":  # a unix socket: its path is no host name
        host, port = "localhost", 443 if scheme == "https" else 80
    return host or "localhost", str(port)


def _make_prototype(server: Any, scheme: str, version: str) -> Environ:
    name, port = server_name_and_port(server, scheme)
    # All keys of a request exist already: a copy of this dict has room for its headers, too.
    prototype: Environ = {
        "REQUEST_METHOD": "",
        "SCRIPT_NAME": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "RAW_URI": "",
        "REQUEST_URI": "",
        "SERVER_SOFTWARE": f"bridge/{__version__}",
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.0" if version == "1" else f"HTTP/{version}",  # "1": granian
        "REMOTE_ADDR": "",
        "REMOTE_PORT": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": None,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "asgi.scope": None,
    }
    if scheme == "https":
        prototype["HTTPS"] = "on"
    return prototype


def _pass_on(environ: Environ, earlier: SilentMapping) -> None:
    """Keep what a WSGI server or middleware set before the request first crossed the bridge."""
    for key, value in earlier.items():
        if not key.startswith(_RENEWED):
            environ.setdefault(key, value)
    environ["wsgi.errors"] = earlier.get("wsgi.errors", sys.stderr)


def _checked(trusted: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in trusted.items():
        if type(key) is not str or type(value) is not str:
            raise AppProtocolError(
                f"trusted_environ returned {literal(key)} with a value of type "
                f"{type(value).__name__}; keys and values must be str"
            )
    return trusted


def split_path(scope: Scope, root_path: str) -> tuple[str, str]:
    """``(SCRIPT_NAME, PATH_INFO)`` of a scope: percent-decoded bytes as latin-1 strings.

    ``root_path`` is stripped from ``path`` only where a segment ends: ``/app`` is no prefix of
    ``/apple``. A path that does not begin with it (some servers strip it) stays as it is.

    :raises BadRequest: ``path`` is not a path.
    """
    path: str = scope["path"]
    if not is_path(path):
        raise BadRequest(NO_PATH)
    root = normal_root(root_path)
    exact = _native(path, scope.get("raw_path"))
    if below(root, path) is None:
        return _native(root, None), exact
    # The bytes of a segment may differ from those of its text, but a slash is always a slash.
    depth = root.count("/") + 1
    script_name = "/".join(exact.split("/", depth)[:depth])
    return script_name, exact[len(script_name) :]


def _native(path: str, raw_path: bytes | None) -> str:
    """The UTF-8 bytes of ``path`` as a latin-1 string.

    Servers decode with replacement characters, which loses bytes that are not UTF-8. Where
    ``raw_path`` still is the same path, the bytes come from there.
    """
    if path.isascii():
        return path
    if raw_path and "\ufffd" in path:
        exact = unquote_to_bytes(raw_path.partition(b"?")[0])
        if exact.decode("utf-8", "replace") == path:
            return exact.decode("latin-1")
    return path.encode("utf-8", "surrogateescape").decode("latin-1")


def _raw_uri(scope: Scope) -> str:
    """The path as the client sent it, if the server passes it on."""
    raw_path: bytes | None = scope.get("raw_path")
    if not raw_path:
        return quoted(scope["path"])
    if b"?" in raw_path:
        raw_path = raw_path.partition(b"?")[0]
    return raw_path.decode("latin-1")


def _add_tls(environ: Environ, tls: Mapping[str, Any]) -> None:
    """Set Apache's ``SSL_*`` keys from the ASGI TLS extension."""
    environ["HTTPS"] = "on"
    version, cipher = tls.get("tls_version"), tls.get("cipher_suite")
    if version is not None:
        environ["SSL_PROTOCOL"] = TLS_VERSIONS.get(version, f"0x{version:04x}")
    if cipher is not None:
        environ["SSL_CIPHER"] = f"0x{cipher:04x}"
    if tls.get("server_cert"):
        environ["SSL_SERVER_CERT"] = tls["server_cert"]
    chain = list(tls.get("client_cert_chain") or ())
    error = tls.get("client_cert_error")
    environ["SSL_CLIENT_VERIFY"] = f"FAILED:{error}" if error else "SUCCESS" if chain else "NONE"
    for number, certificate in enumerate(chain):
        environ["SSL_CLIENT_CERT" if not number else f"SSL_CLIENT_CERT_CHAIN_{number - 1}"] = (
            certificate
        )
    if tls.get("client_cert_name"):
        environ["SSL_CLIENT_S_DN"] = tls["client_cert_name"]

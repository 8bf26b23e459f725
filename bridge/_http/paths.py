"""Paths and prefixes in both interfaces. Pure; any thread.

A path is decoded text: UTF-8 in ASGI's ``path`` and ``root_path``, latin-1 decoded bytes in PEP
3333's ``SCRIPT_NAME`` and ``PATH_INFO``. A prefix is normal when it begins with a slash and does
not end in one; the root is the empty prefix. A path is below a prefix only where a segment ends:
``/apple`` is not below ``/app``.
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = [
    "below",
    "native",
    "normal_root",
    "path_of_target",
    "quoted",
    "shown",
]

_SAFE = "/:@!$&'()*+,;=~-._"
"""Characters of a path that need no percent-encoding (RFC 3986, 3.3)."""


def below(root: str, path: str) -> str | None:
    """What follows ``root`` in ``path``: empty, or beginning with a slash. None: it is not below.

    :param root: a normal prefix.
    """
    if path.startswith(root):
        rest = path[len(root) :]
        if not rest or rest[0] == "/":
            return rest
    return None


def normal_root(root_path: str) -> str:
    """A server's ``root_path`` as a normal prefix."""
    root = root_path.rstrip("/")
    return root if not root or root[0] == "/" else f"/{root}"


def shown(prefix: str) -> str:
    """A normal prefix as messages show it: the root as ``/``."""
    return prefix or "/"


def native(text: str) -> str:
    """UTF-8 text as PEP 3333 has it: a ``str`` of latin-1 decoded bytes."""
    return text.encode("utf-8").decode("latin-1")


def quoted(path: str | bytes) -> str:
    """A decoded path, percent-encoded."""
    return quote(path, safe=_SAFE)


def path_of_target(target: str) -> str:
    """The path of a request target that is not a path (RFC 9112, 3.2): ``*``, or a whole URI.

    Anything else is returned as it is.
    """
    scheme, separator, rest = target.partition("://")
    if separator and scheme.isalnum():
        _, slash, path = rest.partition("/")
        return slash + path or "/"
    return "" if target == "*" else target  # OPTIONS *: the server as a whole

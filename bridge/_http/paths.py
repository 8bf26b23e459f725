"""Paths and prefixes in both interfaces, and which request targets are paths. Pure; any thread.

A path is decoded text: UTF-8 in ASGI's ``path`` and ``root_path``, latin-1 decoded bytes in PEP
3333's ``SCRIPT_NAME`` and ``PATH_INFO``. A prefix is normal when it begins with a slash and does
not end in one; the root is the empty prefix.

Rule 1. What the server has put into ``path`` is the path: middleware in front of bridge has checked
        that text, so the app gets that text. Nothing here searches it for a host name.
Rule 2. A path begins with a slash, or it is the ``*`` of ``OPTIONS *``. Anything else is a request
        target that the server has not reduced to its path, such as a whole URI (RFC 9112, 3.2). It
        is below no prefix and belongs to no app: the adapters and a Router answer 400.
Rule 3. A path is below a prefix only where a segment ends: ``/apple`` is not below ``/app``.
Rule 4. From a path that is not below the server's root path, the server has removed it.
"""

from __future__ import annotations

from urllib.parse import quote

from bridge.types import Scope

__all__ = [
    "NO_PATH",
    "below",
    "below_root",
    "include_root",
    "include_root_path",
    "is_path",
    "native",
    "normal_root",
    "quoted",
    "shown",
    "with_root",
]

NO_PATH = "The request target is not a path: it has to begin with a slash.\n"
"""The text of the 400 for Rule 2."""

_SAFE = "/:@!$&'()*+,;=~-._"
"""Characters of a path that need no percent-encoding (RFC 3986, 3.3)."""


def is_path(path: str) -> bool:
    """Whether a server's ``path`` is one: Rule 2. ``PATH_INFO`` may be empty, too (PEP 3333)."""
    return path[:1] == "/" or path == "*"


def below(root: str, path: str) -> str | None:
    """What follows ``root`` in ``path``: empty, or beginning with a slash. None: it is not below.

    :param root: a normal prefix.
    """
    if path.startswith(root):
        rest = path[len(root) :]
        if not rest or rest[0] == "/":
            return rest
    return None


def below_root(root_path: str, path: str) -> str:
    """The part of ``path`` that the app routes by: what follows the server's root path, or all of
    it (Rule 4).

    :param root_path: as the server has set it.
    """
    rest = below(normal_root(root_path), path)
    return path if rest is None else rest


def with_root(root: str, path: str) -> str:
    """``path`` with ``root`` in front, unless it is there already. The ``*`` stays alone, and so
    does what is not a path.

    :param root: a normal prefix.
    """
    return root + path if path[:1] == "/" and below(root, path) is None else path


def include_root(copy: Scope, root: str) -> None:
    """Change ``path`` and ``raw_path`` so that they include ``root``: see :func:`with_root`.

    :param copy: of a scope; the server's own must not be changed.
    """
    path = copy["path"]
    copy["path"] = with_root(root, path)
    raw_path: bytes | None = copy.get("raw_path")
    if raw_path is not None and copy["path"] != path:
        copy["raw_path"] = quoted(root).encode("ascii") + raw_path


def include_root_path(copy: Scope) -> None:
    """Make ``root_path`` normal, and make ``path`` include it (ASGI HTTP specification 2.3): again,
    if the server has removed it.

    :param copy: of a scope.
    """
    copy["root_path"] = root = normal_root(copy["root_path"])
    include_root(copy, root)


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

"""The mount of a path: the longest prefix that ends where a segment of the path ends. Pure.

Input: prefixes, as the user writes them, and decoded paths. Output: normal prefixes (the root is
the empty one, no other ends in a slash), and the entry for a path. Safe on any thread.

A look-up costs one access to a dict, for any number of mounts. If prefixes with the same first
segment contain each other, it costs at most one access for each segment of the longest of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic, TypeVar

from bridge.errors import ConfigError

__all__ = ["PrefixTable", "normal_prefix"]

T = TypeVar("T")

_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_NOT_UTF_8 = re.compile("[\ufffd\ud800-\udfff]")
_PATTERN = re.compile(r"[*{}<>]")
_ALLOWED = "a path that begins with a slash, such as '/api' ('/' matches all)"


def normal_prefix(text: object, option: str = "prefix") -> str:
    """``/api/`` and ``/api`` as ``/api``; ``/`` as the empty prefix.

    :param option: what the error names.
    :raises ConfigError: it is not a decoded path that begins with a slash. Names the mistake.
    """
    if not isinstance(text, str) or not text.startswith("/"):
        raise ConfigError(option, text, _ALLOWED)
    prefix = text.removesuffix("/")
    mistake = _mistake_in(prefix)
    if mistake:
        raise ConfigError(option, text, f"{_ALLOWED}; {mistake}")
    return prefix


def _mistake_in(prefix: str) -> str | None:
    if "?" in prefix or "#" in prefix:
        return "a prefix has no query and no fragment"
    if _NOT_UTF_8.search(prefix):
        return "servers put such a character in place of bytes that are not UTF-8"
    if _ENCODED.search(prefix):
        return "write it decoded, as '/café' for '/caf%C3%A9'"
    if _PATTERN.search(prefix):
        return "patterns are not supported: a prefix matches every path below it"
    segments = prefix.split("/")[1:]
    if {"", ".", ".."} & set(segments):
        return "no segment of it may be empty, '.' or '..'"
    return None


class PrefixTable(Generic[T]):
    """Entries by prefix.

    :param entries: by normal prefix.
    """

    __slots__ = ("_entries", "_first", "_root")

    def __init__(self, entries: Mapping[str, T]) -> None:
        self._entries = dict(entries)
        self._root = self._entries.pop("", None)
        # By first segment: how many segments to compare, and the entry if that is just one.
        self._first: dict[str, tuple[int, T | None]] = {}
        for prefix in self._entries:
            first = prefix[: prefix.find("/", 1)] if "/" in prefix[1:] else prefix
            depth = self._first.get(first, (0, None))[0]
            self._first[first] = (max(depth, prefix.count("/")), self._entries.get(first))

    def find(self, path: str) -> T | None:
        """The entry with the longest prefix that is ``path`` or contains it; None without one.

        :param path: decoded, as ASGI's ``path`` and PEP 3333's ``PATH_INFO`` are.
        """
        end = path.find("/", 1)
        found = self._first.get(path if end < 0 else path[:end])
        if found is None:
            return self._root
        if found[0] == 1:
            return found[1]
        return self._find_deeper(path, found[0])

    def _find_deeper(self, path: str, depth: int) -> T | None:
        end = 0
        for _ in range(depth):
            end = path.find("/", end + 1)
            if end < 0:
                end = len(path)
                break
        while end > 0:
            entry = self._entries.get(path[:end])
            if entry is not None:
                return entry
            end = path.rfind("/", 0, end)
        return self._root

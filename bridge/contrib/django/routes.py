"""Which views of a URLconf are async, and which paths lead to them, without calling a view.

Input: a ``django.urls.URLResolver``, then paths. Output: whether a path certainly leads to an async
view. :func:`walk` imports the URLconf, on any thread; the methods of :class:`Tree` are pure.

A path is matched against the patterns in Django's order, as Django does it. Code of the project is
not run: the ``to_python`` of a custom converter may query a database, a custom resolver class may
do anything. A path that reaches one of these has the kind ``"unknown"``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.urls import URLPattern, URLResolver, converters
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern
from django.utils import translation

__all__ = ["Kind", "Tree", "walk"]

logger = logging.getLogger("bridge.django")

Kind = Literal["sync", "async", "unknown"]
Matcher = Callable[[str], str | None]
"""Returns the rest of a path after the part that matches; None if it does not match."""

_DJANGOS_TO_PYTHON = {
    converters.IntConverter.to_python,
    converters.StringConverter.to_python,
    converters.UUIDConverter.to_python,
}
_DJANGOS_MATCH = {RegexPattern.match, RoutePattern.match}


@dataclass(frozen=True, slots=True)
class _Node:
    """One entry of a URLconf. ``children`` is None for a view."""

    match: Matcher
    kind: Kind
    children: tuple[_Node, ...] | None = None

    @property
    def holds_async(self) -> bool:
        return self.kind == "async"


class Tree:
    """The result of walking a URLconf.

    :ivar has_async: whether any path certainly leads to an async view.
    """

    def __init__(self, root: _Node) -> None:
        self._root = (root,)
        self.has_async = root.holds_async

    def kind_of(self, path: str) -> Kind | None:
        """The kind of the view that the path leads to; None if it leads to none.

        :param path: ``path_info``: the path below the mount point, with its leading slash.
        """
        return _first(self._root, path)

    def may_be_async(self, path: str) -> bool:
        """Whether the path matches any async view, regardless of the patterns before it. Cheap."""
        return _any_async(self._root, path)


def walk(resolver: URLResolver) -> Tree:
    """Read every entry below ``resolver``. Imports the URLconf."""
    return Tree(_resolver_node(resolver, ()))


# -- matching a path -------------------------------------------------------------------------------


def _first(nodes: Iterable[_Node], path: str) -> Kind | None:
    for node in nodes:
        rest = node.match(path)
        if rest is None:
            continue
        found = node.kind if node.children is None else _first(node.children, rest)
        if found is not None:
            return found
    return None


def _any_async(nodes: Iterable[_Node], path: str) -> bool:
    for node in nodes:
        rest = node.match(path) if node.holds_async else None
        if rest is not None and (node.children is None or _any_async(node.children, rest)):
            return True
    return False


# -- walking ---------------------------------------------------------------------------------------


def _nodes(patterns: Iterable[Any], above: tuple[int, ...]) -> Iterator[_Node]:
    for pattern in patterns:
        cls: Any = type(pattern)
        if isinstance(pattern, URLPattern) and cls.resolve is URLPattern.resolve:
            yield _view_node(pattern)
        elif isinstance(pattern, URLResolver) and all(
            getattr(cls, name) is getattr(URLResolver, name) for name in ("resolve", "url_patterns")
        ):
            yield _resolver_node(pattern, above)
        else:  # a custom class
            yield _Node(_matcher(getattr(pattern, "pattern", None))[0], "unknown")


def _view_node(pattern: URLPattern) -> _Node:
    matcher, is_certain = _matcher(pattern.pattern)
    if not is_certain:
        return _Node(matcher, "unknown")
    return _Node(matcher, "async" if iscoroutinefunction(pattern.callback) else "sync")


def _resolver_node(resolver: URLResolver, above: tuple[int, ...]) -> _Node:
    """An ``include()``, or the root.

    :param above: the identities of the lists of patterns that include this one, at any depth.
    """
    matcher, is_certain = _matcher(resolver.pattern)
    try:
        patterns = resolver.url_patterns if is_certain else None
    except Exception as error:
        logger.warning(
            "the URLconf %r cannot be imported: requests below it run on worker threads, and raise "
            "the error there",
            resolver.urlconf_name,
            exc_info=error,
        )
        patterns = None
    if patterns is None or id(patterns) in above:  # a URLconf may include itself
        return _Node(matcher, "unknown")
    children = tuple(_nodes(patterns, (*above, id(patterns))))
    kind: Kind = "async" if any(child.holds_async for child in children) else "sync"
    return _Node(matcher, kind, children)


# -- matchers --------------------------------------------------------------------------------------


def _match_all(path: str) -> str:
    return path


def _matcher(pattern: Any) -> tuple[Matcher, bool]:
    """How to match a path against a pattern, and whether Django certainly finds the same match."""
    if type(pattern) is LocalePrefixPattern:
        return _strip_language(pattern), True
    if getattr(type(pattern), "match", None) not in _DJANGOS_MATCH:
        return _match_all, False
    is_certain = all(type(c).to_python in _DJANGOS_TO_PYTHON for c in pattern.converters.values())
    text = getattr(pattern, "_route" if isinstance(pattern, RoutePattern) else "_regex")
    if not isinstance(text, str):  # a translation
        return _search(_regexes(pattern)), is_certain
    if not is_certain:
        return _search([pattern.regex]), False
    return _djangos_match(pattern.match), True


def _djangos_match(match: Callable[[str], Any]) -> Matcher:
    def matcher(path: str) -> str | None:
        found = match(path)
        return None if found is None else found[0]

    return matcher


def _search(regexes: Iterable[re.Pattern[str]]) -> Matcher:
    """Matches a path that any of the patterns matches."""
    alternatives = list(regexes)

    def matcher(path: str) -> str | None:
        found = next(filter(None, (regex.search(path) for regex in alternatives)), None)
        return None if found is None else path[found.end() :]

    return matcher


def _regexes(pattern: Any) -> Iterator[re.Pattern[str]]:
    """A translated pattern in every language of the site."""
    for code, _ in settings.LANGUAGES:
        with translation.override(code):
            yield pattern.regex


def _strip_language(pattern: LocalePrefixPattern) -> Matcher:
    """``i18n_patterns``: the path itself chooses the active language, later."""
    codes = {code.lower() for code, _ in settings.LANGUAGES}

    def matcher(path: str) -> str | None:
        code, slash, rest = path.partition("/")
        if slash and code.lower() in codes:
            return rest
        return None if pattern.prefix_default_language else path

    return matcher

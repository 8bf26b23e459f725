"""Which views of a URLconf are async, and which paths lead to them, without calling a view.

What enters: a ``django.urls.URLResolver``, then paths. What leaves: whether a path leads to an
async view for certain. Walking runs on any thread, and imports the URLconf; asking is pure.

A path is compared with the patterns in Django's order, as Django would. What Django might do beyond
that is not tried: a converter's ``to_python`` of the project's own may query a database, a resolver
class of its own may do anything. A path that comes upon one of these is of no certain kind.
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
"""Takes a path, and gives what is left of it after the part that matched; None: no match."""

_DJANGOS_TO_PYTHON = {
    converters.IntConverter.to_python,
    converters.StringConverter.to_python,
    converters.UUIDConverter.to_python,
}
_DJANGOS_MATCH = {RegexPattern.match, RoutePattern.match}


@dataclass(frozen=True, slots=True)
class _Node:
    """One line of a URLconf. ``children`` is None for a view."""

    match: Matcher
    kind: Kind
    children: tuple[_Node, ...] | None = None

    @property
    def holds_async(self) -> bool:
        return self.kind == "async"


class Tree:
    """A URLconf, walked.

    :ivar has_async: whether there is any async view that a path can be known to lead to.
    """

    def __init__(self, root: _Node) -> None:
        self._root = (root,)
        self.has_async = root.holds_async

    def kind_of(self, path: str) -> Kind | None:
        """What the path leads to; None if to nothing.

        :param path: ``path_info``: what is below the mount point, with its leading slash.
        """
        return _first(self._root, path)

    def may_be_async(self, path: str) -> bool:
        """Whether the path matches an async view at all, whatever comes before it. Cheap."""
        return _any_async(self._root, path)


def walk(resolver: URLResolver) -> Tree:
    """Look at every view below ``resolver``. Imports the URLconf."""
    return Tree(_resolver_node(resolver, ()))


# -- asking ----------------------------------------------------------------------------------------


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
        else:  # a class of the project's own
            yield _Node(_matcher(getattr(pattern, "pattern", None))[0], "unknown")


def _view_node(pattern: URLPattern) -> _Node:
    matcher, certain = _matcher(pattern.pattern)
    if not certain:
        return _Node(matcher, "unknown")
    return _Node(matcher, "async" if iscoroutinefunction(pattern.callback) else "sync")


def _resolver_node(resolver: URLResolver, above: tuple[int, ...]) -> _Node:
    """An ``include()``, or the root.

    :param above: the identities of the lists that this one is included from, however deep.
    """
    matcher, certain = _matcher(resolver.pattern)
    try:
        patterns = resolver.url_patterns if certain else None
    except Exception as error:
        logger.warning(
            "the URLconf %r cannot be imported; what is below it is served on worker threads, "
            "and shows the error there",
            resolver.urlconf_name,
            exc_info=error,
        )
        patterns = None
    if patterns is None or id(patterns) in above:  # a URLconf may include itself
        return _Node(matcher, "unknown")
    children = tuple(_nodes(patterns, (*above, id(patterns))))
    kind: Kind = "async" if any(child.holds_async for child in children) else "sync"
    return _Node(matcher, kind, children)


# -- matching --------------------------------------------------------------------------------------


def _anything(path: str) -> str:
    return path


def _matcher(pattern: Any) -> tuple[Matcher, bool]:
    """How to compare a path with one pattern, and whether a match is what Django would find."""
    if type(pattern) is LocalePrefixPattern:
        return _below_language(pattern), True
    if getattr(type(pattern), "match", None) not in _DJANGOS_MATCH:
        return _anything, False
    certain = all(type(c).to_python in _DJANGOS_TO_PYTHON for c in pattern.converters.values())
    written = getattr(pattern, "_route" if isinstance(pattern, RoutePattern) else "_regex")
    if not isinstance(written, str):  # to be translated
        return _search(_regexes(pattern)), certain
    if not certain:
        return _search([pattern.regex]), False
    return _djangos(pattern.match), True


def _djangos(match: Callable[[str], Any]) -> Matcher:
    def matcher(path: str) -> str | None:
        found = match(path)
        return None if found is None else found[0]

    return matcher


def _search(regexes: Iterable[re.Pattern[str]]) -> Matcher:
    """A path that any of the patterns matches."""
    several = list(regexes)

    def matcher(path: str) -> str | None:
        found = next(filter(None, (regex.search(path) for regex in several)), None)
        return None if found is None else path[found.end() :]

    return matcher


def _regexes(pattern: Any) -> Iterator[re.Pattern[str]]:
    """A translated pattern, in every language of the site."""
    for code, _ in settings.LANGUAGES:
        with translation.override(code):
            yield pattern.regex


def _below_language(pattern: LocalePrefixPattern) -> Matcher:
    """``i18n_patterns``: which language is active is decided later, by the path itself."""
    codes = {code.lower() for code, _ in settings.LANGUAGES}

    def matcher(path: str) -> str | None:
        code, slash, rest = path.partition("/")
        if slash and code.lower() in codes:
            return rest
        return None if pattern.prefix_default_language else path

    return matcher

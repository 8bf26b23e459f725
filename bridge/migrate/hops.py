"""The thread hops of one request under Django's own ASGI handler.

Input: the middleware of a project. Output: one :class:`Hop` for each ``sync_to_async`` call of a
request, in order. Pure.

The number H, for Django 4.2 to 6.1 (``core/handlers/base.py`` and ``asgi.py``)::

    H = 1   the signal request_started has sync receivers
      + 1   for each process_request and process_response of a MiddlewareMixin that runs async:
            one inside all sync-only middleware
      + 1   for each process_view, in any middleware, unless it is a coroutine function
      + 1   if the chain begins sync: one is sync-only, and none outside it is async-only
      + 1   for each async-only middleware directly outside a sync one
      + 1   for a sync view
      + 1   for a TemplateResponse, and for each process_template_response
      + 1   response.close()

For startproject's seven middleware and a sync view, H is 16. A sync middleware with an async one
inside also needs an ``async_to_sync`` back to the event loop: counted by :func:`returns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.migrate.facts import MiddlewareFact

__all__ = ["Hop", "hops", "innermost_sync_only", "modes", "returns"]


@dataclass(frozen=True)
class Hop:
    """One hand-over to a thread.

    :ivar middleware: the middleware that causes it, as in the settings; empty for Django itself.
    :ivar step: ``process_request``, ``view`` and so on.
    """

    middleware: str
    step: str

    def __str__(self) -> str:
        return f"{self.middleware.rpartition('.')[2]}.{self.step}" if self.middleware else self.step


def hops(
    middleware: Sequence[MiddlewareFact], *, is_async_view: bool, is_template: bool = False
) -> list[Hop]:
    """Every hop of one request, in order.

    :param middleware: outermost first, as in the settings. Unused ones are skipped.
    :param is_template: whether the view returns a ``TemplateResponse``.
    """
    chain = modes(middleware)
    return [
        Hop("", "request_started"),
        *_inwards(chain),
        *_view_hooks(chain),
        *([] if is_async_view else [Hop("", "view")]),
        *(_rendering(chain) if is_template else ()),
        *_outwards(chain),
        Hop("", "response.close"),
    ]


def modes(middleware: Sequence[MiddlewareFact]) -> list[tuple[MiddlewareFact, bool]]:
    """The used middleware, each with whether Django runs it async."""
    chain: list[tuple[MiddlewareFact, bool]] = []
    is_async = True  # the view's side of the chain
    for each in reversed([each for each in middleware if each.is_used]):
        is_async = False if not is_async and each.sync_capable else each.async_capable
        chain.append((each, is_async))
    return chain[::-1]


def _inwards(chain: list[tuple[MiddlewareFact, bool]]) -> Iterator[Hop]:
    outer_is_async, outer = True, ""
    for each, is_async in chain:
        if outer_is_async and not is_async:
            yield Hop(outer, "enter sync middleware")
        if is_async and _costs(each, "process_request"):
            yield Hop(each.path, "process_request")
        outer_is_async, outer = is_async, each.path


def _view_hooks(chain: list[tuple[MiddlewareFact, bool]]) -> Iterator[Hop]:
    for each, _ in chain:
        if _costs(each, "process_view"):
            yield Hop(each.path, "process_view")


def _rendering(chain: list[tuple[MiddlewareFact, bool]]) -> Iterator[Hop]:
    for each, _ in reversed(chain):
        if _costs(each, "process_template_response"):
            yield Hop(each.path, "process_template_response")
    yield Hop("", "response.render")


def _outwards(chain: list[tuple[MiddlewareFact, bool]]) -> Iterator[Hop]:
    for each, is_async in reversed(chain):
        if is_async and _costs(each, "process_response"):
            yield Hop(each.path, "process_response")


def _costs(fact: MiddlewareFact, hook: str) -> bool:
    return hook in fact.hooks and hook not in fact.native_hooks


def returns(middleware: Sequence[MiddlewareFact]) -> int:
    """How often a thread waits for the event loop: a sync middleware calls an async one inside."""
    inside = [*(is_async for _, is_async in modes(middleware)), True]
    return sum(not outer and inner for outer, inner in pairwise(inside))


def innermost_sync_only(middleware: Sequence[MiddlewareFact]) -> MiddlewareFact | None:
    """The sync-only middleware nearest to the view."""
    found = [each for each in middleware if each.is_used and each.is_sync_only]
    return found[-1] if found else None

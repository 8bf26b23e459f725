"""Which of Django's handlers serves a request: decided by its path, before the request is made.

Input: paths, on the event loop. Output: whether Django's ASGI handler serves the path. The URLconf
is walked on a short-lived thread, because importing it may take long and may use the database;
later decisions are made from the result.

Rule 1. Both handlers can serve every view. On the wrong side a request takes longer, but its
        response is right. So a path that is not certain goes to the WSGI side, where Django's
        threads and connections live longest.
Rule 2. The result belongs to one ``URLResolver``. After ``clear_url_caches()``, or an override of
        ``ROOT_URLCONF``, Django uses another one: the URLconf is walked again.
Rule 3. Middleware may set another URLconf for a request (``request.urlconf``) after the decision.
        Each one that has been set is walked, too, and a path goes to the ASGI side only if every
        URLconf leads it to an async view or to none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import lru_cache, partial

from django.conf import settings
from django.db import connections
from django.urls import URLResolver, get_resolver

from bridge._threads.locks import GreenletMutex
from bridge._threads.own_threads import OwnThread
from bridge._threads.server_loop import server_loop
from bridge.contrib.django.mount_point import mount_point_unknown
from bridge.contrib.django.routes import Tree, walk

__all__ = ["Choice"]

logger = logging.getLogger("bridge.django")

MAX_URLCONFS = 100
"""How many URLconfs, set by middleware, are remembered. With more of them no path is certain."""
CACHED_PATHS = 1024
LONGEST_CACHED_PATH = 200


class Choice:
    """The project's views, as far as they decide on the handler.

    :param on_async: called when async views have been found. Returns whether they can run on the
        event loop.
    :param on_walked: called with the project's URLconf once it has been walked, on that thread.
    :ivar any_async: whether any path can make :meth:`wants_asgi` return True.
    """

    def __init__(
        self, on_async: Callable[[], bool], on_walked: Callable[[URLResolver], None]
    ) -> None:
        self._on_async = on_async
        self._on_walked = on_walked
        self._urlconf: str | None = None
        self._resolver: URLResolver | None = None
        self._has_walked = False
        self._trees: dict[Hashable, Tree] = {}
        self._walking: Future[None] | None = None
        self._lock = GreenletMutex()
        self._cached: Callable[[str], bool] = self._decide
        self.any_async = False
        self._too_many = False

    # -- on the event loop ----------------------------------------------------------------------

    def is_known(self) -> bool:
        """Whether :meth:`wants_asgi` can decide; otherwise wait for :meth:`learn`.

        Called for each request, so it reads no setting: that alone would cost a microsecond.
        ``override_settings(ROOT_URLCONF=...)`` clears the URL caches, too.
        """
        resolver = self._resolver
        if resolver is None:
            return self._has_walked
        return get_resolver(self._urlconf) is resolver

    def wants_asgi(self, path: str) -> bool:
        """Whether Django's ASGI handler should serve this path.

        :param path: ``path_info``: the path below the mount point.
        """
        return self._cached(path) if len(path) <= LONGEST_CACHED_PATH else self._decide(path)

    async def learn(self) -> None:
        """Walk the URLconf, on another thread. Concurrent calls wait for the same walk.

        :raises ServerProtocolError: the server runs no asyncio event loop.
        """
        server_loop()
        with self._lock:
            walking = self._walking
            if walking is None:
                walking = self._walking = Future()
                walker = partial(self._walk, walking)
                OwnThread(target=walker, name="bridge-django-urls", daemon=True).start()
        await asyncio.shield(asyncio.wrap_future(walking))

    # -- on any thread --------------------------------------------------------------------------

    def add(self, urlconf: Hashable) -> None:
        """A middleware has set this URLconf, and Django has imported it."""
        if urlconf in self._trees or urlconf == settings.ROOT_URLCONF or self._too_many:
            return
        trees = {**self._trees, urlconf: walk(get_resolver(urlconf))}  # type: ignore[arg-type,unused-ignore]  # may be a list
        if len(trees) > MAX_URLCONFS:
            self._too_many = True
            trees = {}
            logger.warning(
                "async views run from worker threads from now on: middleware has set more than %d "
                "different URLconfs (request.urlconf)",
                MAX_URLCONFS,
            )
        self._use(trees)

    # -- deciding -------------------------------------------------------------------------------

    def _decide(self, path: str) -> bool:
        trees = tuple(self._trees.values())
        if not any(tree.may_be_async(path) for tree in trees):
            return False
        return {tree.kind_of(path) for tree in trees} <= {"async", None}

    # -- walking --------------------------------------------------------------------------------

    def _walk(self, walking: Future[None]) -> None:
        urlconf = getattr(settings, "ROOT_URLCONF", None)  # a project may have none
        resolver = None if urlconf is None else get_resolver(urlconf)
        try:
            with mount_point_unknown():  # URLconfs contain static(settings.MEDIA_URL, ...)
                trees = {} if resolver is None else {urlconf: walk(resolver)}
            self._use(trees)
            if resolver is not None:
                self._on_walked(resolver)
        except Exception:
            logger.exception("cannot walk the URLconf: all views run from worker threads")
        finally:
            self._urlconf, self._resolver = urlconf, resolver
            self._has_walked = True
            self._walking = None
            connections.close_all()  # those that the import of the URLconf has opened here
            walking.set_result(None)

    def _use(self, trees: dict[Hashable, Tree]) -> None:
        any_async = any(tree.has_async for tree in trees.values()) and self._on_async()
        with self._lock:
            self._trees = trees
            self._cached = lru_cache(CACHED_PATHS)(self._decide)
            self.any_async = any_async

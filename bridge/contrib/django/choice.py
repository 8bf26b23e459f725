"""Which of Django's handlers takes a request: decided from its path, before it is made.

What enters: paths, on the event loop. What leaves: whether Django's ASGI handler is to take it. The
URLconf is walked on a short-lived thread of its own, since importing it may take long and may use
the database; later questions are answered from what was found.

Rule 1. Both handlers serve every view. A request on the wrong side costs time, and is never wrong;
        so whatever is not certain goes to the WSGI side, where Django's threads and connections
        live longest.
Rule 2. What was found belongs to one ``URLResolver``. ``clear_url_caches()`` makes Django use
        another one, and so does overriding ``ROOT_URLCONF``: then the URLconf is walked anew.
Rule 3. A middleware may give a request another URLconf (``request.urlconf``) after the choice. Each
        that was seen is walked, too, and a path goes to the ASGI side only if none of them leads
        it to anything but an async view.
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

from bridge._threads.real_threads import RealLock, RealThread
from bridge.contrib.django.mount_point import mount_point_unknown
from bridge.contrib.django.routes import Tree, walk

__all__ = ["Choice"]

logger = logging.getLogger("bridge.django")

MAX_URLCONFS = 100
"""How many URLconfs, set by middleware, are remembered. With more, nothing is certain."""
CACHED_PATHS = 1024
LONGEST_CACHED_PATH = 200


class Choice:
    """What is known of the project's views.

    :param on_async: called once async views were found: whether they may run on the event loop.
    :ivar any_async: whether there is any path to ask :meth:`wants_asgi` about.
    """

    def __init__(self, on_async: Callable[[], bool]) -> None:
        self._on_async = on_async
        self._urlconf: str | None = None
        self._resolver: URLResolver | None = None
        self._has_walked = False
        self._trees: dict[Hashable, Tree] = {}
        self._walking: Future[None] | None = None
        self._lock = RealLock()
        self._cached: Callable[[str], bool] = self._decide
        self.any_async = False
        self._too_many = False

    # -- on the event loop ----------------------------------------------------------------------

    def is_known(self) -> bool:
        """Whether :meth:`wants_asgi` can answer; if not, wait for :meth:`learn`.

        Asked for each request, so it looks at no setting: that alone would cost a microsecond.
        ``override_settings(ROOT_URLCONF=...)`` clears the URL caches, too.
        """
        resolver = self._resolver
        if resolver is None:
            return self._has_walked
        return get_resolver(self._urlconf) is resolver

    def wants_asgi(self, path: str) -> bool:
        """Whether Django's ASGI handler is to serve this path.

        :param path: ``path_info``: what is below the mount point.
        """
        return self._cached(path) if len(path) <= LONGEST_CACHED_PATH else self._decide(path)

    async def learn(self) -> None:
        """Walk the URLconf, on another thread. Several calls wait for the same walk."""
        with self._lock:
            walking = self._walking
            if walking is None:
                walking = self._walking = Future()
                walker = partial(self._walk, walking)
                RealThread(target=walker, name="bridge-django-urls", daemon=True).start()
        await asyncio.shield(asyncio.wrap_future(walking))

    # -- on any thread --------------------------------------------------------------------------

    def add(self, urlconf: Hashable) -> None:
        """A middleware has chosen this URLconf, and Django has imported it by now."""
        if urlconf in self._trees or urlconf == settings.ROOT_URLCONF or self._too_many:
            return
        trees = {**self._trees, urlconf: walk(get_resolver(urlconf))}  # type: ignore[arg-type,unused-ignore]  # may be a list
        if len(trees) > MAX_URLCONFS:
            self._too_many = True
            trees = {}
            logger.warning(
                "middleware has set more than %d different URLconfs (request.urlconf); from now "
                "on async views run from worker threads, too",
                MAX_URLCONFS,
            )
        self._settle(trees)

    # -- deciding -------------------------------------------------------------------------------

    def _decide(self, path: str) -> bool:
        trees = tuple(self._trees.values())
        if not any(tree.may_be_async(path) for tree in trees):
            return False
        return {tree.kind_of(path) for tree in trees} <= {"async", None}

    # -- walking --------------------------------------------------------------------------------

    def _walk(self, walking: Future[None]) -> None:
        urlconf = getattr(settings, "ROOT_URLCONF", None)  # a project may have none at all
        resolver = None if urlconf is None else get_resolver(urlconf)
        try:
            with mount_point_unknown():  # URLconfs have static(settings.MEDIA_URL, ...)
                trees = {} if resolver is None else {urlconf: walk(resolver)}
            self._settle(trees)
        except Exception:
            logger.exception("cannot look into the URLconf; every view runs from a worker thread")
        finally:
            self._urlconf, self._resolver = urlconf, resolver
            self._has_walked = True
            self._walking = None
            connections.close_all()  # what importing the URLconf has opened, on this thread
            walking.set_result(None)

    def _settle(self, trees: dict[Hashable, Tree]) -> None:
        any_async = any(tree.has_async for tree in trees.values()) and self._on_async()
        with self._lock:
            self._trees = trees
            self._cached = lru_cache(CACHED_PATHS)(self._decide)
            self.any_async = any_async

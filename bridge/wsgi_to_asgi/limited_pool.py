"""The threads of an adapter with ``limits``: which of them a request may use, by its path.

Input: requests as jobs, on the event loop thread. Output: the same jobs, posted to a share of the
adapter's pool, to a pool that is reserved for their path, or to the adapter's pool.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Mapping

from bridge._http.paths import native
from bridge._http.prefixes import PrefixTable, normal_prefix
from bridge._threads.borrowed import BorrowedPool
from bridge._threads.pool import WorkerPool
from bridge._threads.share import Share
from bridge.config import Limit
from bridge.errors import ConfigError
from bridge.types import PoolStats
from bridge.wsgi_to_asgi.thread_side import ThreadSide

__all__ = ["LimitedPool"]

PostTo = Callable[[WorkerPool | BorrowedPool | Share, ThreadSide, AbstractEventLoop], None]


class LimitedPool:
    """A pool, with limits for some paths.

    :param limits: by the paths as the user has written them.
    :param post: posts a job to the pool or share that is chosen for it.
    :raises ConfigError: a path is wrong, or a limit is not below that of the pool.
    """

    def __init__(
        self,
        pool: WorkerPool | BorrowedPool,
        limits: Mapping[str, Limit],
        post: PostTo,
    ) -> None:
        self._pool = pool
        self._post = post
        made: dict[Limit, Share | WorkerPool] = {}
        self._by_path: dict[str, Share | WorkerPool] = {}
        for path, limit in limits.items():
            if limit not in made:
                made[limit] = self._make(path, limit)
            self._by_path[path] = made[limit]
        self._find = PrefixTable(
            {prefix: self._by_path[path] for prefix, path in _by_prefix(limits).items()}
        ).find
        self._made = list(made.values())

    def post(self, job: ThreadSide, loop: AbstractEventLoop) -> None:
        """Run ``job`` on a thread that its path allows. On the thread of ``loop``; never blocks.

        :raises PoolSaturated: too many requests wait, those below the same path or all.
        :raises PoolClosed: the pool is shut down.
        """
        pool = self._find(job.path_info) or self._pool
        self._post(pool, job, loop)

    def stats(self) -> dict[str, PoolStats]:
        """The state of each limit, by path. From any thread."""
        return {path: each.stats() for path, each in self._by_path.items()}

    def end(self, loop: AbstractEventLoop) -> list[WorkerPool]:
        """The pool is about to be shut down: let it have the jobs that wait. On the loop.

        :returns: the reserved pools, which have to be shut down, too.
        """
        for each in self._made:
            if isinstance(each, Share):
                each.open(loop)
        return [each for each in self._made if isinstance(each, WorkerPool)]

    def _make(self, path: str, limit: Limit) -> Share | WorkerPool:
        if limit.reserved:
            return WorkerPool(
                limit.threads,
                backlog=limit.backlog,
                wait_target_s=limit.wait_target_s,
                name=f"bridge-reserved {path}",
            )
        most = self._pool.threads if isinstance(self._pool, WorkerPool) else None
        if most is not None and limit.threads >= most:
            raise ConfigError(
                f"limits[{path!r}]",
                limit,
                f"fewer threads than the {most} of the app, of which some stay free then. "
                "With reserved=True they are in addition to those",
            )
        return Share(
            self._pool,
            limit.threads,
            backlog=limit.backlog,
            wait_target_s=limit.wait_target_s,
            name=f"limits[{path!r}] of {limit.threads} threads",
        )


def _by_prefix(paths: Iterable[str]) -> dict[str, str]:
    """The paths as the user has written them, by normal prefix, as environs have it.

    :raises ConfigError: one is wrong, or there twice.
    """
    found: dict[str, str] = {}
    for path in paths:
        other = found.setdefault(native(normal_prefix(path, "limits")), path)
        if other != path:
            raise ConfigError("limits", path, f"each path once: {other!r} is the same")
    return found

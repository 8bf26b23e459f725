"""Tasks that wait for a change. On the loop thread."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future

__all__ = ["Waiters"]


class Waiters:
    """Like a condition of asyncio, without a lock, and without memory while nobody waits."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: tuple[Future[None], ...] = ()

    async def wait(self) -> None:
        """Wait for the next change. Check afterwards what has changed."""
        future = self._loop.create_future()
        if self._futures:
            waiting = (each for each in self._futures if not each.done())  # not cancelled
            self._futures = (*waiting, future)
        else:
            self._futures = (future,)
        await future

    def notify(self) -> None:
        """Something has changed: all tasks that wait go on."""
        if self._futures:
            futures, self._futures = self._futures, ()
            for future in futures:
                if not future.done():
                    future.set_result(None)

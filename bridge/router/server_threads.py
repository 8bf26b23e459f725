"""Limits on WSGI servers: how many threads of the server an app may occupy at once.

Input: a WSGI app, and how many threads the requests below its paths may occupy. Output: the same
app, which answers one more request with 503. Runs on the server thread.

The server owns the threads and the queue. A request that waited here for its turn would occupy a
thread as much as one that runs, so none waits: that is what keeps the other threads free.

Rule 1. A thread is occupied from the call of the app until ``close()``. A list goes to the server
        as it is, and so does a ``wsgi.file_wrapper``, which the server recognises by its type:
        there the app is finished when it returns.
Rule 2. Paths with reserved threads are not limited: the server has no thread of their own for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from bridge._http.answers import BUSY, wsgi_answer
from bridge._http.client_text import ClientText
from bridge._http.paths import native
from bridge._http.prefixes import PrefixTable, normal_prefix
from bridge._repeated_log import RepeatedLog
from bridge._threads import process
from bridge._threads.instances import Instances
from bridge._threads.locks import RealMutex
from bridge.config import Limit
from bridge.types import Environ, StartResponse, WsgiApp

__all__ = ["Bounds", "ServerThreads", "limited", "limits_on_server_threads"]

repeated = RepeatedLog(logging.getLogger("bridge.router"))


class ServerThreads:
    """The threads of a WSGI server that some requests may occupy, in this process.

    :param most: how many at once.
    :param name: for the log.
    """

    def __init__(self, most: int, name: str) -> None:
        self.name = name
        self._most = most
        self._reset()
        _alive.add(self)

    def _reset(self) -> None:
        self._lock = RealMutex()
        self._occupied = 0

    def enter(self) -> bool:
        """Occupy one. False: there is none left."""
        with self._lock:
            is_free = self._occupied < self._most
            self._occupied += is_free
            return is_free

    def leave(self) -> None:
        """It is free again."""
        with self._lock:
            self._occupied -= 1


Bounds: TypeAlias = "tuple[ServerThreads, ...]"
"""A request occupies one thread of each of these."""


def limits_on_server_threads(limits: Mapping[str, Limit]) -> dict[str, Bounds]:
    """The same limits for a WSGI server, by normal prefix as environs have it."""
    made: dict[Limit, Bounds] = {}
    for path, limit in limits.items():
        if limit not in made:
            threads = ServerThreads(limit.threads, f"limits[{path!r}]")
            made[limit] = () if limit.reserved else (threads,)
    return {native(normal_prefix(path)): made[limit] for path, limit in limits.items()}


def limited(app: WsgiApp, bounds: Mapping[str, Bounds]) -> WsgiApp:
    """``app`` with limits for requests below some prefixes; unchanged if there are none."""
    return partial(_call_below, PrefixTable(bounds).find, app) if bounds else app


def _call_below(
    find: Callable[[str], Bounds | None],
    app: WsgiApp,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    bounds = find(environ.get("PATH_INFO", ""))
    if not bounds:
        return app(environ, start_response)
    full = _enter(bounds)
    if full is not None:
        return _answer_busy(full, environ, start_response)
    is_finished = True
    try:
        result = app(environ, start_response)
        kind = type(result)
        is_finished = kind in (list, tuple) or kind is environ.get("wsgi.file_wrapper")
    finally:
        if is_finished:
            _leave(bounds)
    if is_finished:
        return result
    return (_Sized if hasattr(result, "__len__") else _Response)(result, bounds)


def _enter(bounds: Bounds) -> ServerThreads | None:
    """Occupy a thread of each; or none, and return the one that has none left."""
    for place, threads in enumerate(bounds):
        if not threads.enter():
            _leave(bounds[:place])
            return threads
    return None


def _leave(bounds: Bounds) -> None:
    for threads in bounds:
        threads.leave()


def _answer_busy(
    full: ServerThreads, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    method = environ["REQUEST_METHOD"]
    repeated.warning(
        "503 for %s %s: %s: all its threads are busy",
        ClientText(method),
        ClientText(environ.get("PATH_INFO", "")),
        full.name,
    )
    return wsgi_answer(start_response, 503, BUSY, method=method, headers=[("retry-after", "1")])


class _Response:
    """What the app has returned. Its thread is occupied until the server closes it."""

    def __init__(self, result: Iterable[bytes], bounds: Bounds) -> None:
        self._result = result
        self._bounds = bounds

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._result)

    def close(self) -> None:
        """PEP 3333: called once, also after an error."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            self._leave()

    def __del__(self) -> None:
        """Dropped without being closed."""
        self._leave()

    def _leave(self) -> None:
        bounds, self._bounds = self._bounds, ()
        _leave(bounds)


class _Sized(_Response):
    """Servers take the number of chunks as a hint for Content-Length (PEP 3333)."""

    def __len__(self) -> int:
        result: list[bytes] = self._result  # type: ignore[assignment]  # it has a length
        return len(result)


_alive: Instances[ServerThreads] = Instances()


def _after_fork() -> None:
    for threads in _alive.alive():
        threads._reset()


process.in_child(process.Fork.ROUTERS, _after_fork)

"""gunicorn's hooks: the apps behind `to_wsgi` and in a Router start and stop with each worker.

::

    gunicorn --config python:bridge.contrib.gunicorn main:app

If you have your own configuration file, import the hooks there::

    from bridge.contrib.gunicorn import post_worker_init, worker_exit

gunicorn calls them on the main thread of each worker process. The apps have started before the
worker accepts its first request, and are shut down when it exits. If a startup fails, the worker
does not boot: gunicorn logs the traceback and exits with 3.

At its end, on SIGTERM, SIGQUIT or SIGINT, gunicorn waits for open requests, and kills a worker in
which one still runs after the ``graceful_timeout``. An endless stream must not prevent the shutdown
of the apps, so requests that still run after their ``shutdown_timeout_s`` are cancelled; or a few
seconds before the end of the ``graceful_timeout``, if that is earlier. The apps' shutdown then gets
the rest of the ``graceful_timeout``, and at most ``shutdown_timeout_s``.

Without the hooks an app starts with the first request of its worker, and if that startup fails,
every request fails.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from bridge.asgi_to_wsgi.running_app import (
    announce_close,
    close_running_apps,
    wait_for_requests,
)
from bridge.router.router import start_apps

__all__ = ["post_worker_init", "worker_exit"]

SHUTDOWN_S = 3.0
"""How much of the graceful timeout is reserved for the apps' shutdown; at most half of it."""


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has forked and has imported the app.

    :raises LifespanFailed: an app's startup failed.
    """
    calls_wsgi = _calls_wsgi(worker)
    start_apps(worker.app.wsgi(), sends_lifespan=not calls_wsgi)
    if calls_wsgi:
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            _announce_at(number, worker.cfg.graceful_timeout)


def _calls_wsgi(worker: Any) -> bool:
    """Whether this worker class calls a Router as WSGI. Other classes send it a lifespan scope."""
    from gunicorn.workers.base_async import AsyncWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]  # no stubs

    return isinstance(worker, (AsyncWorker, SyncWorker, ThreadWorker))


def _announce_at(number: signal.Signals, graceful_s: float) -> None:
    """Announce the end of the worker to the apps: requests have to end before the worker is killed.

    After each of these signals gunicorn's arbiter waits for the graceful timeout.
    """
    handler = signal.getsignal(number)
    if not callable(handler):
        return
    requests_s = max(graceful_s - SHUTDOWN_S, graceful_s / 2)

    def handle(number: int, frame: FrameType | None) -> None:
        announce_close(graceful_s, requests_s=requests_s)
        handler(number, frame)

    signal.signal(number, handle)
    if number == signal.SIGTERM:
        signal.siginterrupt(number, False)  # as gunicorn sets it; signal() has reset it


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook: the worker has stopped serving. Errors are logged.

    What it has accepted is answered first: a worker that an error has ended leaves it in its queue.
    """
    wait_for_requests()
    close_running_apps()

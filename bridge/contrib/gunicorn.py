"""gunicorn's hooks: the apps behind `to_wsgi` and in a Router start and stop with its workers.

::

    gunicorn --config python:bridge.contrib.gunicorn main:app

With a configuration file of your own, import the hooks into it::

    from bridge.contrib.gunicorn import post_worker_init, worker_exit

What enters: gunicorn's calls, on the main thread of each worker process. What leaves: apps that
have started before the worker takes its first request, and have shut down when it ends. A startup
that fails stops the boot: gunicorn logs the traceback and exits with 3.

On SIGTERM gunicorn lets requests end, and kills a worker where one goes on after the
``graceful_timeout``. So that an endless stream does not cost the apps their shutdown, what still
runs after their ``shutdown_timeout_s`` is cancelled; or a few seconds before the
``graceful_timeout`` ends, if that is earlier. Their shutdown then has the rest of the
``graceful_timeout``, and at most ``shutdown_timeout_s``.

Without the hooks all works the same, but an app starts with its worker's first request, and a
failed startup is an error of every request.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from bridge.asgi_to_wsgi.adapter import start_adapters
from bridge.asgi_to_wsgi.running_app import announce_close, close_running_apps
from bridge.router.router import start_routers

__all__ = ["post_worker_init", "worker_exit"]

SHUTDOWN_S = 3.0
"""How much of the graceful timeout is left to the apps for their shutdown; at most half of it."""


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has forked and has imported the app.

    :raises LifespanFailed: an app's startup failed.
    """
    start_adapters()
    if _calls_wsgi(worker):
        start_routers(worker.wsgi)
        _heed_sigterm(worker.cfg.graceful_timeout)


def _calls_wsgi(worker: Any) -> bool:
    """Whether this class of workers calls a universal app as WSGI. Others send it a lifespan."""
    from gunicorn.workers.base_async import AsyncWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]  # no stubs

    return isinstance(worker, (AsyncWorker, SyncWorker, ThreadWorker))


def _heed_sigterm(graceful_s: float) -> None:
    """Let the apps know, too, that the worker is to end: before ``worker_exit`` its requests have
    to."""
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler):
        return
    requests_s = max(graceful_s - SHUTDOWN_S, graceful_s / 2)

    def handle(number: int, frame: FrameType | None) -> None:
        announce_close(graceful_s, requests_s=requests_s)
        handler(number, frame)

    signal.signal(signal.SIGTERM, handle)
    signal.siginterrupt(signal.SIGTERM, False)  # as gunicorn has it; signal() has taken it back


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook: the worker serves no more. What fails here is logged."""
    close_running_apps()

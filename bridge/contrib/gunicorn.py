"""gunicorn's hooks: the apps behind `to_wsgi` and in a Router start and stop with its workers.

::

    gunicorn --config python:bridge.contrib.gunicorn main:app

With a configuration file of your own, import the hooks into it::

    from bridge.contrib.gunicorn import post_worker_init, worker_exit

What enters: gunicorn's calls, on the main thread of each worker process. What leaves: apps that
have started before the worker takes its first request, and have shut down when it ends. A startup
that fails stops the boot: gunicorn logs the traceback and exits with 3.

Without the hooks all works the same, but an app starts with its worker's first request, and a
failed startup is an error of every request.
"""

from __future__ import annotations

from typing import Any

from bridge.asgi_to_wsgi import start_adapters
from bridge.live_app import close_live_apps
from bridge.router import start_routers

__all__ = ["post_worker_init", "worker_exit"]


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has forked and has imported the app.

    :raises LifespanFailed: an app's startup failed.
    """
    start_adapters()
    if _calls_wsgi(worker):
        start_routers(worker.wsgi)


def _calls_wsgi(worker: Any) -> bool:
    """Whether this class of workers calls a universal app as WSGI. Others send it a lifespan."""
    from gunicorn.workers.base_async import AsyncWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # no stubs
    from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]  # no stubs

    return isinstance(worker, (AsyncWorker, SyncWorker, ThreadWorker))


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook: the worker serves no more. What fails here is logged."""
    close_live_apps()

"""hypercorn. Its shutdown is patched where it waits too long or ends too early.

The defects were seen in hypercorn 0.18.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from bridge.cli.options import RunOptions
from bridge.cli.servers.spec import (
    SERVED_APP,
    ServerSpec,
    access_log_options,
    bind_address,
    loop_options,
)
from bridge.types import AsgiApp

__all__ = ["SPEC"]


def _command_line(options: RunOptions) -> list[str]:
    # With 0 workers it serves in its own process, which is enough for one; reloading needs a child.
    workers = ["--workers", "0" if _serves_in_process(options) else str(options.workers)]
    reload = ["--reload"] if options.reload else []
    logs = ["--log-level", options.log_level.value, *access_log_options(options)]
    grace = ["--graceful-timeout", str(options.grace_s)]
    bind = ["--bind", bind_address(options)]
    loop = loop_options("--worker-class")
    return [f"asgi:{SERVED_APP}", *bind, *workers, *reload, *loop, *logs, *grace]


def _serves_in_process(options: RunOptions) -> bool:
    """Its event loop watches SIGTERM itself, so that only a master can wait before it stops."""
    return options.is_single_process and not options.drain_s


def _make_graceful(app: AsgiApp, grace_s: float) -> AsgiApp:
    _skip_waiting_for_connections()
    _let_workers_finish()
    _let_workers_end_themselves()
    return app


def _skip_waiting_for_connections() -> None:
    """Make ``Server.wait_closed()`` return without waiting for connections.

    Hypercorn calls it before its ``graceful_timeout`` starts to run. Up to Python 3.11 it returned
    at once, as hypercorn expects; since 3.12 (python/cpython#104344) it waits until the last client
    has disconnected, so that one endless stream would keep the process alive forever.
    """
    if sys.version_info >= (3, 12):
        asyncio.base_events.Server.wait_closed = _do_not_wait  # type: ignore[method-assign]


async def _do_not_wait(server: asyncio.base_events.Server) -> None:
    await asyncio.sleep(0)


def _let_workers_finish() -> None:
    """Make worker processes ignore SIGTERM while their master is alive.

    An event asks them to stop, and they finish their requests then; but the master sends SIGTERM to
    all of them as soon as the first has finished. After that it still waits for each.
    """
    master = multiprocessing.parent_process()
    if master is not None:
        signal.signal(signal.SIGTERM, functools.partial(_exit_if_orphaned, master.pid))


def _exit_if_orphaned(master: int | None, number: int, frame: FrameType | None) -> None:
    if os.getppid() != master:
        raise SystemExit(0)


_worker_ends = False


def _let_workers_end_themselves() -> None:
    """Make a worker stop not only at the event of its master, but also after `_end_worker`.

    Its own ``--max-requests`` closes connections on which the next request is under way.
    """
    from hypercorn.asyncio import run

    run.check_multiprocess_shutdown_event = _until_end  # type: ignore[attr-defined]  # an import there


async def _until_end(shutdown_event: Any, sleep: Callable[[float], Awaitable[Any]]) -> None:
    while not _worker_ends and not shutdown_event.is_set():
        await sleep(0.1)


def _end_worker() -> None:
    global _worker_ends
    _worker_ends = True


SPEC = ServerSpec(
    name="hypercorn",
    interface="asgi",
    requirement="hypercorn",
    command_line=_command_line,
    serves_in_process=_serves_in_process,
    hides_failed_workers=True,
    raw_logger="hypercorn.access",
    end_worker=_end_worker,
    make_graceful=_make_graceful,
)

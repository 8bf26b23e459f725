"""hypercorn: its shutdown is patched where it waits too long or ends too early.

The defects were seen in hypercorn 0.18.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
from bridge.cli.shutdown import LINGER_S, stop_accepting
from bridge.types import AsgiApp

__all__ = ["SPEC"]

ACCEPT_S = 0.05
"""Seconds in which an accepted connection gets its task."""


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
    listener: Any = asyncio.base_events.Server
    listener.close, listener.wait_closed = _close_later, _begin_shutdown
    _linger()
    _let_workers_finish()
    _let_workers_end_themselves()
    return app


_close = asyncio.base_events.Server.close


def _close_later(server: asyncio.base_events.Server) -> None:
    """``Server.close()``, which resets no connection that has just been accepted."""
    loop = server.get_loop()
    stop_accepting(server, loop)
    loop.call_later(ACCEPT_S, _close, server)


async def _begin_shutdown(server: asyncio.base_events.Server) -> None:
    """``Server.wait_closed()``, which hypercorn calls after it has stopped listening.

    It does not wait for connections, as hypercorn expects: its ``graceful_timeout`` starts
    afterwards. Since Python 3.12 (python/cpython#104344) it would wait until the last client has
    disconnected, so that one endless stream would keep the process alive forever.

    It does wait for tasks of connections that have just been accepted: hypercorn waits only for
    those that exist when this returns.
    """
    _close_after_each_response()
    await asyncio.sleep(ACCEPT_S)


def _close_after_each_response() -> None:
    import h11
    from hypercorn.protocol import h11 as implementation

    protocol_class: Any = implementation.H11Protocol
    send = protocol_class._send_h11_event

    async def send_closing(protocol: Any, event: Any) -> None:
        if isinstance(event, h11.Response):  # not an InformationalResponse, such as a WebSocket's
            headers = [*event.headers.raw_items(), (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers)
        await send(protocol, event)

    protocol_class._send_h11_event = send_closing


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


def _linger() -> None:
    """Make idle connections stay open for a short time after the signal.

    Hypercorn would close them at once, and lose the requests that clients have just sent there.
    """
    from hypercorn.asyncio import tcp_server

    connection_class: Any = tcp_server.TCPServer
    connection_class._idle_timeout = _idle_timeout


async def _idle_timeout(connection: Any) -> None:
    """Close an idle connection. Hypercorn cancels this when a request arrives.

    Its own does not always notice that it is cancelled (``asyncio.wait_for`` up to Python 3.11),
    and closes the connection then in spite of the request.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(connection.config.keep_alive_timeout):
            await connection.context.terminated.wait()
        await asyncio.sleep(LINGER_S)
    await asyncio.shield(connection._initiate_server_close())


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

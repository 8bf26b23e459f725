"""What every server's shutdown has in common: SIGTERM works as Ctrl-C does, and the process ends.

A thread that hangs, for example in a view that waits for a dead database, keeps Python from exiting
after the server has stopped: Python joins every thread that is not a daemon. A daemon thread ends
the process then.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from asgiref.sync import markcoroutinefunction

from bridge.types import AsgiApp, Message, Receive, Scope, Send

__all__ = [
    "EXIT_S",
    "LINGER_S",
    "exit_after_lifespan",
    "force_exit_after",
    "let_new_workers_end",
    "stop_accepting",
    "treat_sigterm_as_ctrl_c",
]

EXIT_S = 5
"""Seconds that a process gets to exit after its server has stopped."""
LINGER_S = 0.5
"""Seconds, from the signal, in which requests on connections that are open already are answered.

Such a request may be on its way when the signal comes, or wait in the kernel. A server that closes
the connection at once loses it. The responses close the connections, where the server allows that.
"""


def treat_sigterm_as_ctrl_c() -> None:
    """Make SIGTERM raise KeyboardInterrupt, so that it leads to exit code 0 as well."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def force_exit_after(seconds: float, code: int = 0) -> None:
    """End this process and its workers if it has not exited within ``seconds``.

    In that case, a line on stderr names the threads that are still running.
    """
    threading.Thread(
        target=_force_exit, args=(seconds, code), name="bridge-force-exit", daemon=True
    ).start()


def _force_exit(seconds: float, code: int) -> None:
    time.sleep(seconds)
    for child in multiprocessing.active_children():
        child.kill()
    expected = (threading.main_thread(), threading.current_thread())
    names = ", ".join(each.name for each in threading.enumerate() if each not in expected)
    print(
        f"bridge: process {os.getpid()} did not exit in time and was terminated. "
        f"Threads still running: {names or 'none'}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(code)


def exit_after_lifespan(
    app: AsgiApp, seconds: float, at_end: Sequence[Callable[[], object]] = ()
) -> AsgiApp:
    """``app``, in a process that ends within ``seconds`` of the start of its lifespan shutdown.

    The lifespan shutdown is the last thing that a server does.

    :param at_end: called when that is over. A worker of uvicorn ends by a signal then, without
        ``atexit``.
    """

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                force_exit_after(seconds)
            return message

        async def watched_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                for call in at_end:
                    call()
            await send(message)

        await app(scope, watched_receive, watched_send)

    def asgi(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return (lifespan if scope["type"] == "lifespan" else app)(scope, receive, send)

    return markcoroutinefunction(asgi)  # not async def: that would add a coroutine to each request


def stop_accepting(listener: asyncio.AbstractServer, loop: asyncio.AbstractEventLoop) -> None:
    """Leave new connections to other processes.

    asyncio's ``Server.close()`` would reset those that it has accepted in this step of the loop.
    """
    if isinstance(loop, asyncio.SelectorEventLoop):
        for sock in getattr(listener, "sockets", ()):
            loop.remove_reader(sock.fileno())
    else:  # uvloop attaches each connection at once
        listener.close()


def let_new_workers_end() -> None:
    """Let workers that this process has just forked end on SIGTERM.

    Until a worker of granian or gunicorn has handlers of its own, it has those of its master. A
    SIGTERM in that time was lost, and the master waited for the worker: granian forever, gunicorn
    until the end of its grace period.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_reset_signals, os.getpid()))


def _reset_signals(master: int) -> None:
    if os.getppid() == master:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the master receives Ctrl-C as well

"""Starts the control socket of this process, at most one."""

from __future__ import annotations

import os
from pathlib import Path

from bridge._threads import process
from bridge._threads.locks import GreenletMutex
from bridge.control.folders import name_of, prepare
from bridge.control.listener import Listener, remove_stale
from bridge.control.loops import LoopProbes
from bridge.control.snapshot import snapshot
from bridge.control.stacks import stacks

__all__ = ["listen", "stop"]

_lock = GreenletMutex()
_listener: Listener | None = None


def listen(folder: str | os.PathLike[str] | None = None, *, server: int | None = None) -> Path:
    """Let ``bridge top`` and ``bridge stacks`` of this user look into this process.

    Opens a Unix socket that only this user (and root) can connect to, and starts a thread that
    answers on it. Call it in each worker, after the fork: a forked child does not listen. Does
    nothing where this process listens already. The socket is removed when the process ends.

    :param folder: where the socket is: a folder with mode 0700, which is made if there is none. By
        default ``$XDG_RUNTIME_DIR/bridge`` or ``/tmp/bridge-UID``, where the commands look for it.
    :param server: a number that all processes of one server have in common; by default their
        process group.
    :returns: the path of the socket.
    :raises ControlError: the folder is not private, or no socket can be opened there.
    """
    global _listener
    with _lock:
        if _listener is not None:
            return _listener.path
        chosen = prepare(None if folder is None else Path(folder))
        remove_stale(chosen)
        group = os.getpgrp() if server is None else server
        probes = LoopProbes()
        _listener = Listener(
            chosen / name_of(group, os.getpid()),
            {
                "snapshot": lambda: snapshot(group, probes.look()),
                "stacks": lambda: stacks(group, probes.look()),
            },
            probes.tick,
        )
        process.at_exit(process.Exit.CONTROL, stop)
        return _listener.path


def stop() -> None:
    """Remove the socket, and end its thread."""
    global _listener
    with _lock:
        listener, _listener = _listener, None
    if listener is not None:
        listener.close()


def _leave() -> None:
    global _lock, _listener
    _lock = GreenletMutex()
    listener, _listener = _listener, None
    if listener is not None:
        listener.leave()


process.in_child(process.Fork.CONTROL, _leave)

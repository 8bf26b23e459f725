"""What restarts this process when it ends, and how it is asked to. Pure, but for the environment.

=========  ========================================================================================
gunicorn   Its arbiter replaces every worker that exits.
uvicorn    Its supervisor does so since 0.30. Before, and with ``--reload``, it does not.
hypercorn  Its master replaces workers only as a whole, at SIGHUP. A worker that exits by a signal
           ends all of them.
granian    The same.
=========  ========================================================================================

Anything else, such as systemd or a container's restart policy, cannot be seen from inside:
``BRIDGE_SUPERVISED=1`` reports it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NamedTuple

from bridge.config import one_of

__all__ = ["VARIABLE", "Supervisor", "is_supervised", "supervisor"]

VARIABLE = "BRIDGE_SUPERVISED"


class Supervisor(NamedTuple):
    """Whom to ask for a new process.

    :ivar name: for log lines.
    :ivar pid: the process to signal: this one, or its master.
    """

    name: str
    pid: int
    number: signal.Signals


def is_supervised() -> bool | None:
    """Whether this process is restarted when it ends, as ``BRIDGE_SUPERVISED`` says; None if it is
    not set, or empty.

    :raises ConfigError: it is neither 0 nor 1.
    """
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    one_of(VARIABLE, value, ("0", "1"))
    return value == "1"


def supervisor() -> Supervisor | None:
    """What restarts this process; None if nothing is known to, or on Windows, which has no signal
    that ends a process gracefully.

    :raises ConfigError: ``BRIDGE_SUPERVISED`` is wrong.
    """
    declared = is_supervised()
    if declared is False or os.name == "nt":
        return None
    this, master = os.getpid(), os.getppid()
    if "gunicorn.arbiter" in sys.modules:
        return Supervisor("gunicorn", this, signal.SIGTERM)
    module, starts = _target()
    if module.startswith("uvicorn.") and starts == "uvicorn.supervisors.multiprocess":
        return Supervisor("uvicorn", this, signal.SIGTERM)
    for name in ("hypercorn", "granian"):
        if module.startswith(f"{name}."):
            return Supervisor(name, master, signal.SIGHUP)
    if declared:
        return Supervisor(f"{VARIABLE}=1", this, signal.SIGTERM)
    return None


def _target() -> tuple[str, str]:
    """The modules of the function that this process was started with by ``multiprocessing``, and of
    the object whose method it calls, which uvicorn passes on. Empty where there is none.

    The app may have imported any of these servers, so what is imported shows nothing.
    """
    module: Any = sys.modules.get("multiprocessing.process")  # a process started by it has that
    process = None if module is None else module.current_process()
    target = getattr(process, "_target", None)
    starts = getattr(process, "_kwargs", {}).get("target")
    owner = type(getattr(starts, "__self__", None))
    return getattr(target, "__module__", None) or "", owner.__module__

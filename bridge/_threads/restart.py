"""Has this process replaced, gracefully, once it is degraded; see :mod:`bridge._threads.health`.

Under a supervisor that is known, by a signal. Alone, only a line in the log says what to do.
"""

from __future__ import annotations

import logging
import os

from bridge._frameworks.supervisors import VARIABLE, is_supervised, supervisor
from bridge._threads.health import on_degraded

__all__ = ["check_restart"]

logger = logging.getLogger("bridge.health")


def check_restart() -> None:
    """Check, where an adapter is made that may need it, that a new process can be asked for.

    :raises ConfigError: ``BRIDGE_SUPERVISED`` is neither 0 nor 1.
    """
    is_supervised()


def _restart(_: str) -> None:
    found = supervisor()
    if found is None:
        logger.error(
            "nothing is known to restart this process. If something does, such as systemd or a "
            "container's restart policy, set %s=1: it ends by SIGTERM then",
            VARIABLE,
        )
        return
    logger.warning(
        "asking for a new process: %s to %s (%s)", found.number.name, found.pid, found.name
    )
    os.kill(found.pid, found.number)


on_degraded(_restart)

"""Which event loop bridge makes where no ``loop_factory`` is set.

Input: ``BRIDGE_LOOP`` in the environment, read each time. Output: a new loop of asyncio or uvloop;
without the variable, uvloop's where it is installed. Runs on: any thread.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import AbstractEventLoop
from importlib.util import find_spec

from bridge.config import one_of
from bridge.errors import ConfigError

__all__ = ["VARIABLE", "loop_choice", "new_loop"]

VARIABLE = "BRIDGE_LOOP"


def loop_choice() -> str | None:
    """``"asyncio"`` or ``"uvloop"``, as ``BRIDGE_LOOP`` says; None if it is not set, or empty.

    :raises ConfigError: it has another value, or uvloop is not installed.
    """
    choice = os.environ.get(VARIABLE)
    if not choice:
        return None
    one_of(VARIABLE, choice, ("asyncio", "uvloop"))
    if choice == "uvloop" and find_spec("uvloop") is None:
        raise ConfigError(VARIABLE, choice, "'asyncio', because uvloop is not installed")
    return choice


def new_loop() -> AbstractEventLoop:
    """A new loop of that choice.

    :raises ConfigError: as :func:`loop_choice`.
    """
    if loop_choice() != "asyncio":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()

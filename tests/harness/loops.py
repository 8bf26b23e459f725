"""The event loops that tests run on: asyncio's, and uvloop's where it is installed.

uvloop has no wheel for some builds of Python, such as the free-threaded one of 3.13.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

__all__ = ["FACTORIES", "RUNNERS"]

RUNNERS: dict[str, Callable[..., Any]] = {"asyncio": asyncio.run}
FACTORIES: dict[str, Callable[[], AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    RUNNERS["uvloop"] = uvloop.run
    FACTORIES["uvloop"] = uvloop.new_event_loop

"""The event loops that bridge makes, and which they are where no ``loop_factory`` is set.

Input: ``BRIDGE_LOOP`` in the environment, read each time. Output: a new loop of asyncio or uvloop;
without the variable, uvloop's where it is installed and threads are no greenlets, except in
:func:`run`. Runs on: any thread.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

from bridge._threads.green_loop import make_green, runs_here
from bridge._threads.greenlets import greenlets_run_here, patched_by
from bridge.config import one_of
from bridge.errors import ConfigError
from bridge.types import LoopFactory

__all__ = ["VARIABLE", "loop_choice", "new_loop", "run"]

VARIABLE = "BRIDGE_LOOP"

DESCRIPTORS = 8
"""More than any event loop opens when it is made; uvloop opens 7."""


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


def new_loop(factory: LoopFactory | None = None) -> AbstractEventLoop:
    """A new event loop that can run on an :class:`~bridge._threads.own_threads.OwnThread`.

    :param factory: makes it. By default :func:`loop_choice` decides; it is asyncio's where threads
        are greenlets.
    :raises ConfigError: threads are greenlets, and the loop cannot wait as one; or ``BRIDGE_LOOP``
        is wrong.
    :raises OSError: too few file descriptors are left.
    :raises BaseException: whatever the factory raised.
    """
    _check_descriptors()
    if not greenlets_run_here():
        return (factory or _chosen_loop)()
    patcher = patched_by() or ""
    if factory is None:
        if loop_choice() == "uvloop":
            takes = f"'asyncio', because {patcher} has patched threading"
            raise ConfigError(VARIABLE, "uvloop", takes)
        factory = asyncio.SelectorEventLoop
    loop = factory()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        loop.close()
        raise ConfigError(
            "loop_factory",
            factory,
            f"one that makes asyncio.SelectorEventLoop, because {patcher} has patched threading: "
            f"a {type(loop).__module__}.{type(loop).__qualname__} would stop every greenlet",
        )
    make_green(loop, patcher)
    return loop


def _check_descriptors() -> None:
    """uvloop ends the process (SIGABRT) if there are some of the descriptors that it opens, but
    not all."""
    opened: list[int] = []
    try:
        while len(opened) < DESCRIPTORS:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: an event loop needs {DESCRIPTORS} file descriptors, and "
            f"{len(opened)} are left to this process (see ulimit -n)",
        ) from None
    finally:
        for number in opened:
            os.close(number)


def run(main: Callable[[], Coroutine[Any, Any, None]], factory: LoopFactory | None = None) -> None:
    """``asyncio.run(main())``, also in a greenlet.

    :param factory: makes the loop. By default it is the one that ``BRIDGE_LOOP`` names, or that of
        asyncio's policy.
    :raises Exception: as :func:`new_loop`, and what the coroutine raises.
    """
    if factory is None and not (greenlets_run_here() or loop_choice()):
        asyncio.run(main())
        return
    loop = new_loop(factory)
    with runs_here(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def _chosen_loop() -> AbstractEventLoop:
    """A new loop of the kind that :func:`loop_choice` names; else uvloop's, if it is installed.

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

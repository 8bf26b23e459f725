"""``bridge top`` on a terminal: looks again and again, and reads keys.

Runs on the main thread. The terminal is as before when it ends, whatever ends it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from bridge.cli.control.figures import Picture, picture_of
from bridge.cli.control.screen import Order, screen_of
from bridge.control.client import Report, find, read

__all__ = ["one_picture", "run"]

TIMEOUT_S = 2.0


def one_picture(address: str | None, interval_s: float) -> Picture:
    """Look twice, with an interval in between, for rates and for the lag of event loops.

    :raises ControlError: no server listens, or several do.
    """
    paths = find(address)
    before = read(paths, "snapshot", TIMEOUT_S)
    time.sleep(interval_s)
    return picture_of(read(paths, "snapshot", TIMEOUT_S), before)


def run(address: str | None, interval_s: float) -> int:
    """Show the server until ``q`` or Ctrl-C.

    :returns: the exit code.
    :raises ControlError: no server listens, several do, or it has ended.
    """
    console = Console(emoji=False, highlight=False)
    order = Order.TIME
    reports: list[Report] = read(find(address), "snapshot", TIMEOUT_S)
    picture = picture_of(reports)
    with _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            next_at = time.monotonic() + interval_s
            while (left_s := next_at - time.monotonic()) > 0:
                live.update(screen_of(picture, order, height=console.height), refresh=True)
                key = keys.wait(left_s)
                if key == "q":
                    return 0
                if key == "s":
                    order = order.next
            before, reports = reports, read(find(address), "snapshot", TIMEOUT_S)
            picture = picture_of(reports, before)


class _Keys:
    """The keys of a terminal; none where stdin is something else, or has ended."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def wait(self, timeout_s: float) -> str:
        """The next key; empty if there is none in time."""
        if self._fd is None:
            time.sleep(timeout_s)
            return ""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return ""
        data = os.read(self._fd, 1)
        if not data:
            self._fd = None
        return data.decode("latin-1")


@contextmanager
def _keys() -> Iterator[_Keys]:
    """Keys come one by one, and are not shown."""
    if not sys.stdin.isatty():
        yield _Keys(None)
        return
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield _Keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)

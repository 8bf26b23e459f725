"""``python -m tests.control.picture docs/_static/bridge-top.svg``: the picture of the how-to guide.

A server with two workers, one of which has a view that is stuck, drawn by `bridge top` itself.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from bridge.cli.control.figures import Picture, picture_of
from bridge.cli.control.screen import Order, screen_of
from bridge.control.client import Report

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # from another host
WIDTH, HEIGHT = 118, 30


def worker(pid: int, now: float, **changes: Any) -> Report:
    """The answer of a worker with two pools and a loop."""
    pool = {
        "name": "bridge-worker",
        "most_threads": 8,
        "oldest_wait_s": 0.0,
        "threads": 8,
        "idle": 6,
        "running": 2,
        "waiting": 0,
        "completed": 5120,
        "refused": 0,
    }
    answer = {
        "pid": pid,
        "now": now,
        "up_s": 8100.0,
        "work": [],
        "websockets": 0,
        "requests": {"completed": 5120, "open": 2, "p50_s": 0.0042, "p99_s": 0.061},
        "pools": [{**pool, **changes.pop("pool", {})}],
        "loops": [{"name": "MainThread", "lag_s": 0.0003, "lag_p99_s": 0.0011, "tasks": 9}],
        **changes,
    }
    return Report(pid, answer)


def row(what: str, thread: str, for_s: float, waited_s: float | None, **changes: Any) -> Any:
    fixed = {"kind": "http", "method": "GET", "mount": ""}
    return {
        "what": what,
        "thread": thread,
        "for_s": for_s,
        "waited_s": waited_s,
        **fixed,
        **changes,
    }


def picture() -> Picture:
    stuck = [
        row("/shop/report/2026", f"bridge-worker-{n}", 41.5 - 3 * n, 0.0002 * n, mount="/shop")
        for n in range(1, 7)
    ]
    first = [
        *stuck,
        row("/shop/basket", "bridge-worker-7", 0.012, 0.0021, mount="/shop"),
        row("/shop/search", "bridge-worker-8", 0.094, 0.83, mount="/shop"),
        row("/ws/chat", "", 310.0, None, kind="websocket", method="", mount="/ws"),
    ]
    second = [
        row("/shop/", "bridge-worker-3", 0.0031, 0.0001, mount="/shop"),
        row("/api/prices", "", 0.21, None, mount="/api"),
        row("/ws/chat", "", 95.0, None, kind="websocket", method="", mount="/ws"),
    ]
    full = {"running": 8, "idle": 0, "waiting": 14, "oldest_wait_s": 0.91, "refused": 3}
    slow = {"completed": 3310, "open": 22, "p50_s": 0.018, "p99_s": 1.4}
    after = [
        worker(4250, 1.0, work=first, websockets=1, pool=full, requests=slow),
        worker(4251, 1.0, work=second, websockets=1),
    ]
    before = [
        worker(4250, 0.0, requests={**slow, "completed": 3193}),
        worker(4251, 0.0, requests={"completed": 4871}),
    ]
    return picture_of(after, before)


def main(path: str) -> None:
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), emoji=False)
    console.print(screen_of(picture(), Order.TIME, height=HEIGHT))
    svg = console.export_svg(title="bridge top")
    Path(path).write_text(_FONTS.sub("", svg), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""The examples as processes: where they are, how they are prepared, how the demo starts.

Input: a folder for their data. Output: environments and processes. Runs on the test's thread.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.servers import ROOT

EXAMPLES = ROOT / "examples"
FLASK_APP = EXAMPLES / "flask_app"
DJANGO_SITE = EXAMPLES / "django_site"
ASGI_TOUR = EXAMPLES / "asgi_tour"
MIXED = EXAMPLES / "mixed"
DEMO = EXAMPLES / "demo.py"
ORDERS = 40
START_TIMEOUT_S = 60.0
POLL_S = 0.05
URL = re.compile(r"http://[\d.]+:(\d+)/shop/admin/")


def prepare_shop(database_url: str) -> None:
    """Migrate and seed a database as in the README, with fewer orders."""
    manage(database_url, "migrate", "--verbosity", "0")
    manage(database_url, "seed", "--orders", str(ORDERS))


def manage(database_url: str, *command: str) -> str:
    """Run ``manage.py`` and return its output."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=DJANGO_SITE,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def demo_environment(data: Path) -> dict[str, str]:
    """An environment in which the demo stores its data in ``data``."""
    own = {
        "FLASK_DATA_DIR": str(data / "office"),
        "DATABASE_URL": f"sqlite:///{data}/shop.sqlite3",
        "REDIS_URL": "",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }
    return {**os.environ, **own}


@dataclass(frozen=True)
class Demo:
    """A running ``examples/demo.py``."""

    process: subprocess.Popen[bytes]
    log_path: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    def interrupt(self) -> int:
        """Send SIGINT, as Ctrl-C does, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(START_TIMEOUT_S)


@contextmanager
def running_demo(data: Path, *arguments: str) -> Iterator[Demo]:
    """Run the demo for the duration of the block, with its data in ``data``."""
    log_path = data / "demo.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, DEMO, *(arguments or ("--port", "0"))],
            cwd=ROOT,
            env=demo_environment(data),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Demo(process, log_path, _port(process, log_path))
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log_path: Path) -> int:
    """The port that the demo prints once it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        log = log_path.read_text("utf-8", "replace")
        found = URL.search(log)
        if found:
            return int(found[1])
        assert process.poll() is None, f"the demo exited with {process.returncode}:\n{log}"
        time.sleep(POLL_S)  # polling, with a deadline: a file has no event to wait for
    raise AssertionError(f"the demo printed no URL in {START_TIMEOUT_S} s:\n{log}")

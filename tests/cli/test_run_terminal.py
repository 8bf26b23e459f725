"""`bridge run` in a terminal, here a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

from tests.cli.running import APPS
from tests.harness.servers import ROOT


def test_a_terminal_shows_the_box_and_ctrl_c_ends_the_server() -> None:
    terminal, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "run", "flask_site:app", "--port", "0"],
        cwd=APPS,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    try:
        while b"Application startup complete" not in shown:
            shown += os.read(terminal, 4096)
        assert "╭─ bridge run ─".encode() in shown
        assert b"bridge.WsgiToAsgi" in shown
        process.send_signal(signal.SIGINT)
        while _read_rest(terminal):
            pass
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def _read_rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""

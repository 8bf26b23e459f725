"""The start-up panel: a box on a terminal, lines elsewhere, no colours with NO_COLOR."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from bridge.cli import panel
from tests.cli.running import APPS
from tests.harness.servers import ROOT

FACTS = {"app": "main:app", "URL": "http://127.0.0.1:8000/"}


def _shown(**options: bool | str) -> str:
    text = io.StringIO()
    console = Console(file=text, width=60, **options)  # type: ignore[arg-type]  # bools, strings
    panel.show(FACTS, ["a [note]"], console=console)
    return text.getvalue()


def test_elsewhere_each_fact_is_a_line() -> None:
    assert _shown() == (
        "bridge: app: main:app\nbridge: URL: http://127.0.0.1:8000/\nbridge: note: a [note]\n"
    )


def test_long_lines_are_not_broken_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    panel.show({"app": "x" * 300}, [])
    assert capsys.readouterr().err == f"bridge: app: {'x' * 300}\n"


def test_on_a_terminal_there_is_a_box_with_colours() -> None:
    shown = _shown(force_terminal=True, color_system="standard")
    assert "╭─ bridge run ─" in shown
    assert "\x1b[1;36mhttp://127.0.0.1:8000/" in shown
    assert "a [note]" in shown


def test_with_no_color_the_box_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = _shown(force_terminal=True)
    assert "╭─ bridge run ─" in shown
    assert "\x1b[1;36m" not in shown
    assert "36m" not in shown


def test_on_a_dumb_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _shown(force_terminal=True).startswith("bridge: app: main:app\n")


def test_bridge_run_in_a_real_terminal_shows_the_box_and_ends_on_ctrl_c() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "run", "flask_site:app", "--port", "0"],
        cwd=APPS,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while b"Application startup complete" not in shown:
            shown += os.read(ours, 4096)
        assert "╭─ bridge run ─".encode() in shown
        assert b"bridge.WsgiToAsgi" in shown
        process.send_signal(signal.SIGINT)
        while _read_on(ours):
            pass
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_on(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""

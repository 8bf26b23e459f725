"""The summary at startup: a box on a terminal, lines elsewhere, no colours with NO_COLOR."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bridge.cli import panel

FACTS = {"app": "main:app", "URL": "http://127.0.0.1:8000/"}


def _shown(**options: bool | str) -> str:
    text = io.StringIO()
    console = Console(file=text, width=60, **options)  # type: ignore[arg-type]  # bools, strings
    panel.show(FACTS, ["a [note]"], console=console)
    return text.getvalue()


def test_without_a_terminal_each_fact_is_a_line() -> None:
    assert _shown() == (
        "bridge: app: main:app\nbridge: URL: http://127.0.0.1:8000/\nbridge: note: a [note]\n"
    )


def test_without_a_terminal_long_lines_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    panel.show({"app": "x" * 300}, [])
    assert capsys.readouterr().err == f"bridge: app: {'x' * 300}\n"


def test_a_terminal_gets_a_box_with_colours() -> None:
    shown = _shown(force_terminal=True, color_system="standard")
    assert "╭─ bridge run ─" in shown
    assert "\x1b[1;36mhttp://127.0.0.1:8000/" in shown
    assert "a [note]" in shown


def test_no_color_removes_the_colours_from_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = _shown(force_terminal=True)
    assert "╭─ bridge run ─" in shown
    assert "\x1b[1;36m" not in shown
    assert "36m" not in shown


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _shown(force_terminal=True).startswith("bridge: app: main:app\n")

"""The summary at startup: a box on a terminal, lines elsewhere, no colours with NO_COLOR."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bridge import to_asgi, to_wsgi
from bridge.cli import panel
from bridge.cli.load.target import LoadedApp
from bridge.cli.options import RequestedApp, RunOptions
from bridge.cli.served_apps import ServedApp, ServedApps
from bridge.cli.servers.registry import SERVERS
from bridge.types import Environ, Receive, Scope, Send, StartResponse

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


@pytest.mark.parametrize("is_terminal", [True, False])
def test_names_with_markup_or_control_characters_are_shown_as_they_are(is_terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=is_terminal, color_system=None)

    panel.show({"/[/b]\x1b]0;x\x07": "main\n:app"}, ["a\x9bb"], console=console)

    shown = text.getvalue()
    assert r"/[/b]\x1b]0;x\x07" in shown
    assert r"main\n:app" in shown
    assert r"a\x9bb" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert _shown(force_terminal=True).startswith("bridge: app: main:app\n")


# -- apps that are in an adapter already -----------------------------------------------------------


def _served(app: Any) -> ServedApps:
    loaded = LoadedApp(app, "main:app", "main:app")
    return ServedApps(app, (ServedApp(RequestedApp(prefix=None, target="main:app"), loaded),))


def _wsgi_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return []


async def _asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Never called."""


@pytest.mark.parametrize(
    ("server", "app", "adapter", "threads", "notes"),
    [
        (
            "uvicorn",
            to_asgi(_wsgi_app, threads=3),
            "bridge.WsgiToAsgi, made by the app",
            "3, set by the app",
            [],
        ),
        ("gunicorn", to_wsgi(_asgi_app), "bridge.AsgiToWsgi, made by the app", "40", []),
        (
            "gunicorn",
            to_asgi(_wsgi_app),
            "bridge.AsgiToWsgi, around the app's own bridge.WsgiToAsgi",
            "40",
            ["each request crosses twice"],
        ),
    ],
)
def test_an_adapter_that_the_app_has_made_is_shown(
    server: str, app: Any, adapter: str, threads: str, notes: list[str]
) -> None:
    spec, options = SERVERS[server], RunOptions()
    facts = panel.facts_of(spec, options, _served(app))

    assert facts["adapter"] == adapter
    assert facts["threads"] == threads
    shown = [note for note in panel.notes_of(spec, _served(app)) if "WebSockets" not in note]
    assert [note.partition(":")[0] for note in shown] == notes

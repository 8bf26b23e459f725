"""`bridge routes` shows what `bridge run` would mount."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bridge import Router, to_asgi
from bridge.cli.options import WsgiOptions
from bridge.cli.routes import Row, rows_of, show
from bridge.cli.served_apps import ServedApps, load_apps
from bridge.cli.targets import parse_targets
from tests.cli.running import bridge

TABLE = """\
prefix      protocol         app               interface  on ASGI servers  on WSGI servers
/           HTTP             flask_site:app    WSGI       WsgiToAsgi       none
/v1                          bridge.Router     Router
  /v1/api   HTTP, WebSocket  fastapi_site:app  ASGI       none             AsgiToWsgi
  /v1/shop  HTTP             flask_site:app    WSGI       WsgiToAsgi       none
/ws         WebSocket        mixed_site:chat   ASGI       none             AsgiToWsgi
"""


def test_routes_indents_nested_routers() -> None:
    done = bridge("routes", "mixed_site:app")

    assert done.code == 0, done.err
    assert done.out == TABLE


def cells(*targets: str, websockets: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        row.cells
        for row in rows_of(load_apps(parse_targets(targets, websockets), None, WsgiOptions(), 1))
    ]


def test_routes_shows_what_run_would_mount(here: None) -> None:
    shown = cells("flask_site:app", "/api=fastapi_site:app", websockets=("/ws=mixed_site:chat",))

    assert shown == [
        ("/", "HTTP", "flask_site:app", "WSGI", "WsgiToAsgi", "none"),
        ("/api", "HTTP, WebSocket", "fastapi_site:app", "ASGI", "none", "AsgiToWsgi"),
        ("/ws", "WebSocket", "mixed_site:chat", "ASGI", "none", "AsgiToWsgi"),
    ]


def test_routes_shows_wsgi_apps_that_accept_websockets() -> None:
    router = Router({"/": _page, "/api": _page}, websocket_threads=1)

    shown = [row.protocol for row in rows_of(ServedApps(router, ()))]

    assert shown == ["HTTP, WebSocket", "HTTP, WebSocket"]


def test_routes_shows_that_a_wsgi_app_in_an_adapter_accepts_no_websockets() -> None:
    mounts = {"/": to_asgi(_page), "/sock": to_asgi(_page, websocket_threads=1)}

    shown = [row.protocol for row in rows_of(ServedApps(Router(mounts), ()))]

    assert shown == ["HTTP", "HTTP, WebSocket"]


def _page(environ: object, start_response: object) -> list[bytes]:
    return []


def test_routes_shows_a_single_app(here: None) -> None:
    assert cells("flask_site.py") == [("/", "HTTP", "flask_site:app", "WSGI", "WsgiToAsgi", "none")]


def test_routes_draws_a_table_on_a_terminal(here: None) -> None:
    rows = rows_of(load_apps(parse_targets(["flask_site:app"]), None, WsgiOptions(), 1))
    shown = io.StringIO()

    show(rows, console=Console(file=shown, force_terminal=True, width=120, color_system=None))

    assert "───" in shown.getvalue()
    assert "flask_site:app" in shown.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_routes_shows_names_with_markup_or_control_characters_as_they_are(
    is_terminal: bool,
) -> None:
    shown = io.StringIO()
    row = Row(0, "/[/b]", "HTTP", "a\x1b]0;x\x07", "WSGI")

    show(
        [row], console=Console(file=shown, force_terminal=is_terminal, width=120, color_system=None)
    )

    assert "/[/b]" in shown.getvalue()
    assert r"a\x1b]0;x\x07" in shown.getvalue()


@pytest.mark.parametrize("app", ["unclear", "site.unclear"])
def test_routes_names_an_app_by_its_target_even_with_an_interface_given(
    app: str, here: None
) -> None:
    apps = parse_targets([f"mixed_site:{app}"], interfaces=["wsgi"])

    [row] = rows_of(load_apps(apps, None, WsgiOptions(), 1))

    assert row.app == f"mixed_site:{app}"


def test_routes_reports_two_apps_at_one_prefix_in_one_line() -> None:
    done = bridge("routes", "/a=flask_site:app", "/a/=fastapi_site:app")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "bridge: flask_site:app and fastapi_site:app cannot both be mounted at /a. Give each a "
        "prefix, for example: /=flask_site:app /api=fastapi_site:app\n"
    )

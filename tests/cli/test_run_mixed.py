"""`bridge run` with several apps, or with a Router, and `bridge routes`, which shows the same."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console
from websockets.sync.client import connect

from bridge import Router
from bridge.cli.options import RunOptions
from bridge.cli.routes import rows_of, show
from bridge.cli.run import run
from bridge.cli.served_apps import Site, load_site
from bridge.cli.targets import parse
from bridge.errors import BridgeError
from tests.cli.running import APPS, TIMEOUT_S, bridge, end, facts, running
from tests.harness.control import Control
from tests.harness.servers import Server

SEVERAL = ("/api=fastapi_site:app", "--websocket", "/ws=mixed_site:chat")
ASGI = ["uvicorn", "granian", "daphne"]


def chat(server: Server, path: str) -> str:
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, proxy=None, open_timeout=TIMEOUT_S) as socket:
        return str(socket.recv(TIMEOUT_S))


@pytest.mark.parametrize("server", [*ASGI, "gunicorn"])
def test_several_apps_are_served_together(server: str, control: Control, key: str) -> None:
    with running(server, "/=flask_site:app", *SEVERAL, env={"CALLS": key}) as site:
        assert facts(site)["framework"] == "flask"
        told = facts(site, "/api/")
        assert (told["framework"], told["root_path"]) == ("fastapi", "/api")
        assert told["resource"] == "made at startup"
        if server in ASGI:
            assert chat(site, "/ws/room") == "chat at /ws"
        assert end(site, signal.SIGTERM) == 0
    for phase in ("startup", "shutdown"):
        assert [report["pid"] for report in control.expect(key, phase)] == [told["pid"]]


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_root_path_comes_in_front_of_all(server: str) -> None:
    args = (*SEVERAL, "--root-path", "/proxy", "--threads", "3")
    with running(server, "/=flask_site:app", *args) as site:
        assert facts(site)["root_path"] == "/proxy"
        assert facts(site, "/proxy/api/")["root_path"] == "/proxy/api"
        told = site.log()

    assert "bridge: /: flask_site:app  flask_site.py  WSGI" in told
    assert "bridge: /api: fastapi_site:app  fastapi_site.py  ASGI" in told
    assert "bridge: /ws (WebSocket): mixed_site:chat  mixed_site.py  ASGI" in told
    assert "bridge: adapter: bridge.Router" in told
    assert "bridge: threads: 3" + (", for the WSGI apps" if server == "uvicorn" else "") in told


@pytest.mark.parametrize("server", ["hypercorn", "waitress"])
def test_a_router_of_the_users_is_served_as_it_is(server: str, control: Control, key: str) -> None:
    with running(server, "mixed_site:app", env={"CALLS": key}) as site:
        assert "bridge: adapter: none: the app adapts itself to every server" in site.log()
        told = facts(site, "/v1/api/")
        assert (told["root_path"], told["resource"]) == ("/v1/api", "made at startup")
        assert facts(site)["framework"] == "flask"
        assert end(site, signal.SIGTERM) == 0
    for phase in ("startup", "shutdown"):
        assert [report["pid"] for report in control.expect(key, phase)] == [told["pid"]]


def test_an_interface_can_be_said_for_one_of_several() -> None:
    args = ("/flask=mixed_site:unclear", "--interface", "/flask=wsgi")
    with running("uvicorn", "/=fastapi_site:app", *args) as site:
        assert facts(site, "/flask/")["framework"] == "flask"
        assert "mixed_site:unclear  mixed_site.py  WSGI (as you said)" in site.log()


CHANGING = (
    "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("flask_site:app", "fastapi_site:app"), "/=flask_site:app /api=fastapi_site:app"),
        (("/a=flask_site:app", "/a/=fastapi_site:app"), "fastapi_site:app cannot both be at /a."),
        (("flask_site:app", "--websocket", "/ws=flask_site:app"), "an ASGI app: WSGI has no"),
        (("flask_site:app", "/x=mixed_site:unclear"), "choose with --interface /x=wsgi or /x="),
        (("/a=fastapi_site:app", "/b=fastapi_site:app", "--threads", "2"), "all of these are ASGI"),
        (("mixed_site:app", "--threads", "2"), "mixed_site:app is a Router, which says itself"),
        (("flask_site:app", "/api=nowhere:app"), "cannot load 'nowhere:app': there is no module"),
        ((), "which app? For example: main:app"),
    ],
)
def test_what_cannot_be_served_together_is_told(
    args: tuple[str, ...], says: str, here: None
) -> None:
    with pytest.raises(BridgeError) as refused:
        run(_options(args), "uvicorn")

    assert says in str(refused.value)


def _options(args: tuple[str, ...]) -> RunOptions:
    """As the command line reads them, for the few that are used here."""
    names = ("--websocket", "--interface", "--threads", "")
    words: dict[str, list[str]] = {name: [] for name in names}
    option = ""
    for word in args:
        if word in words:
            option = word
        else:
            words[option].append(word)
            option = ""
    threads = int(words["--threads"][0]) if words["--threads"] else None
    asked = parse(words[""], words["--websocket"], words["--interface"])
    return RunOptions(asked=asked, port=0, threads=threads)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is in the folder of the apps, and imports from there."""
    monkeypatch.chdir(APPS)
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_reload_watches_the_folders_of_all(tmp_path: Path) -> None:
    for name in ("one", "two", "here"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(CHANGING.format(json.dumps(1)))
    targets = (f"/={tmp_path}/one/one.py:app", f"/two={tmp_path}/two/two.py:app")
    with running("uvicorn", *targets, "--reload", cwd=tmp_path / "here") as site:
        watching = site.wait_for_log("Will watch for changes in these directories")

    assert f"'{tmp_path}/one'" in watching
    assert f"'{tmp_path}/two'" in watching


# -- bridge routes ---------------------------------------------------------------------------------

TABLE = """\
prefix      protocol         app                   interface  on ASGI servers  on WSGI servers
/           HTTP             flask_site:app        WSGI       WsgiToAsgi       none
/v1                          bridge.router.Router  Router
  /v1/api   HTTP, WebSocket  fastapi_site:app      ASGI       none             AsgiToWsgi
  /v1/shop  HTTP             flask_site:app        WSGI       WsgiToAsgi       none
/ws         WebSocket        mixed_site.chat       ASGI       none             cannot: 426
"""


def test_routes_shows_a_router_with_nested_ones_indented() -> None:
    done = bridge("routes", "mixed_site:app")

    assert done.code == 0, done.err
    assert done.out.replace("mixed_site:chat", "mixed_site.chat") == TABLE


def cells(*targets: str, websockets: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [row.cells for row in rows_of(load_site(parse(targets, websockets), None, 1, 1))]


def test_routes_shows_what_run_would_mount(here: None) -> None:
    shown = cells("flask_site:app", "/api=fastapi_site:app", websockets=("/ws=mixed_site:chat",))

    assert shown == [
        ("/", "HTTP", "flask_site:app", "WSGI", "WsgiToAsgi", "none"),
        ("/api", "HTTP, WebSocket", "fastapi_site:app", "ASGI", "none", "AsgiToWsgi"),
        ("/ws", "WebSocket", "mixed_site:chat", "ASGI", "none", "cannot: 426"),
    ]


def test_routes_shows_wsgi_apps_that_take_websockets() -> None:
    router = Router({"/": _page, "/api": _page}, websocket_threads=1)

    shown = [row.protocol for row in rows_of(Site(router, ()))]

    assert shown == ["HTTP, WebSocket", "HTTP, WebSocket"]


def _page(environ: object, start_response: object) -> list[bytes]:
    return []


def test_routes_shows_one_app_too(here: None) -> None:
    assert cells("flask_site.py") == [("/", "HTTP", "flask_site:app", "WSGI", "WsgiToAsgi", "none")]


def test_routes_on_a_terminal_is_a_table(here: None) -> None:
    rows = rows_of(load_site(parse(["flask_site:app"]), None, 1, 1))
    shown = io.StringIO()

    show(rows, console=Console(file=shown, force_terminal=True, width=120, color_system=None))

    assert "───" in shown.getvalue()
    assert "flask_site:app" in shown.getvalue()


@pytest.mark.parametrize("app", ["unclear", "site.unclear"])
def test_routes_names_an_app_by_its_target_whatever_was_said_of_it(app: str, here: None) -> None:
    asked = parse([f"mixed_site:{app}"], interfaces=["wsgi"])

    [row] = rows_of(load_site(asked, None, 1, 1))

    assert row.app == f"mixed_site:{app}"


def test_a_command_line_that_mounts_nothing_twice_says_so_in_one_line() -> None:
    done = bridge("routes", "/a=flask_site:app", "/a/=fastapi_site:app")

    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "bridge: flask_site:app and fastapi_site:app cannot both be at /a. Say where each is "
        "mounted, for example: /=flask_site:app /api=fastapi_site:app\n"
    )

"""`bridge run` serves each kind of app on each server, shows how, and exits with 0."""

from __future__ import annotations

import signal

import pytest

from tests.cli.running import (
    ASGI_SERVERS,
    SERVERS,
    TARGETS,
    client_of,
    facts,
    left_behind,
    running,
    stop,
)
from tests.harness.control import Control

pytestmark = pytest.mark.usefixtures("control")

ADAPTER = {
    ("flask", "asgi"): "bridge.WsgiToAsgi",
    ("django", "asgi"): "bridge.WsgiToAsgi",
    ("fastapi", "wsgi"): "bridge.AsgiToWsgi",
}


@pytest.mark.parametrize("framework", TARGETS)
@pytest.mark.parametrize("server", SERVERS)
def test_each_app_is_served_by_each_server(server: str, framework: str) -> None:
    with running(server, TARGETS[framework]) as site:
        reported = facts(site)
        assert reported["framework"] == framework
        assert reported["url"] == "http://site.example/"
        assert stop(site, signal.SIGINT) == 0
        assert left_behind(site) == []
        log = site.log()
    interface = "asgi" if server in ASGI_SERVERS else "wsgi"
    adapter = ADAPTER.get((framework, interface), f"none: {server} supports {interface.upper()}")
    if (server, framework) == ("daphne", "fastapi"):
        adapter = "bridge.universal: daphne does not run the lifespan"
    assert f"bridge: adapter: {adapter}\n" in log
    assert f"bridge: interface: {'ASGI' if framework == 'fastapi' else 'WSGI'}\n" in log
    assert f"bridge: server: {server} " in log
    assert f"bridge: URL: http://127.0.0.1:{site.port}/\n" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_static_files_of_a_django_folder_are_served_in_debug(server: str) -> None:
    with running(server, "django_shop") as site:
        response = client_of(site).fetch("GET", "/static/admin/css/base.css")
        assert response.status == 200
        assert response.header("content-type") == "text/css"
        assert "bridge: note: DEBUG is on: static files are served from /static/" in site.log()


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "waitress"])
def test_a_factory_is_called_once_if_the_app_is_served_in_the_same_process(
    server: str, control: Control, key: str
) -> None:
    target = "flask_site:create_app('shop', shout=True)"
    with running(server, target, env={"CALLS": key}) as site:
        assert client_of(site).fetch("GET", "/").body == b"SHOP"
    assert len(control.reports(key, "made")) == 1


@pytest.mark.parametrize("server", ["granian", "gunicorn", "daphne"])
def test_a_server_with_workers_starts_without_the_app_in_its_memory(
    server: str, control: Control, key: str
) -> None:
    with running(server, "flask_site:create_app('shop')", env={"CALLS": key}) as site:
        assert client_of(site).fetch("GET", "/").body == b"shop"
    # Once to detect the interface, in the process that then starts over; once to serve it.
    assert len(control.reports(key, "made")) == 2


@pytest.mark.parametrize("server", SERVERS)
def test_the_lifespan_runs_once_in_the_process_that_serves(
    server: str, control: Control, key: str
) -> None:
    with running(server, TARGETS["fastapi"], env={"CALLS": key}) as site:
        reported = facts(site)
        assert reported["resource"] == "made at startup"
        assert stop(site, signal.SIGTERM) == 0
    assert [report["pid"] for report in control.expect(key, "startup")] == [reported["pid"]]
    assert [report["pid"] for report in control.expect(key, "shutdown")] == [reported["pid"]]


@pytest.mark.parametrize("target", ["flask_site.py", "flask_site", "../apps/flask_site.py:app"])
def test_a_target_by_file_or_module_alone(target: str) -> None:
    with running("uvicorn", target) as site:
        assert facts(site)["framework"] == "flask"


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_app_dir_is_where_modules_are_imported_from(server: str) -> None:
    with running(
        server,
        "wsgi:application",
        "--app-dir",
        "django_shop/shop",
        env={"PYTHONPATH": "django_shop"},
    ) as site:
        assert facts(site)["framework"] == "django"

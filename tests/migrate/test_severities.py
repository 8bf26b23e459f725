"""The severities of the rules, proven on gunicorn, on Django's own ASGI handler, and on bridge.

The projects are in ``tests/migrate/apps``. All tests share three servers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import django
import pytest

from tests.conftest import Servers
from tests.harness.servers import ROOT, Server, ServerFailed, serve

PROOF = "tests.migrate.apps.proof"
TIMEOUT_S = 120


class Answers(NamedTuple):
    """The responses of the three servers."""

    gunicorn: object
    native: object
    bridge: object


class Sites(NamedTuple):
    gunicorn: Server
    native: Server
    bridge: Server

    def fetch(self, path: str, header: str = "") -> Answers:
        """The status and user from each server; or one of its response headers."""
        return Answers(*(_fetch(server, path, header) for server in self))


def _fetch(server: Server, path: str, header: str) -> object:
    request = Request(f"{server.url}{path}", headers={"Remote-User": "admin"})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            body = json.loads(response.read())
            return response.headers.get(header) if header else (response.status, body["user"])
    except HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def sites(servers: Servers) -> Sites:
    """The project, on each of them."""
    return Sites(
        servers.get("gunicorn-gthread", f"{PROOF}:wsgi", env={}),
        servers.get("uvicorn-h11", f"{PROOF}:native", env={}),
        servers.get("uvicorn-h11", f"{PROOF}:through_bridge", env={}),
    )


@pytest.mark.parametrize("view", ["sync", "async"])
def test_m202_is_a_500_on_djangos_own_handler_only(sites: Sites, view: str) -> None:
    ok = (200, "")

    assert sites.fetch(f"/m202/{view}") == Answers(ok, 500, ok)
    assert sites.fetch(f"/m202/{view}", "X-Middleware") == Answers("here", 500, "here")


@pytest.mark.parametrize("view", ["sync", "async"])
def test_m202_works_if_the_response_is_returned_unchanged(sites: Sites, view: str) -> None:
    ok = (200, "")

    assert sites.fetch(f"/m202-handed-on/{view}") == Answers(ok, ok, ok)
    assert sites.fetch(f"/m202-early/{view}") == Answers(ok, ok, ok)
    assert sites.fetch(f"/m202-early/{view}?up") == Answers(ok, 500, ok)


def test_m203_is_a_500_on_djangos_own_handler(sites: Sites) -> None:
    assert sites.fetch("/m203/sync", "X-Middleware") == Answers("here", 500, "here")


def test_m203_through_bridge_async_views_skip_the_middleware(sites: Sites) -> None:
    assert sites.fetch("/m203/async", "X-Middleware") == Answers("here", 500, None)


@pytest.mark.skipif(django.VERSION < (5, 2), reason="it logs nobody in under ASGI before 5.2")
def test_m206_a_header_logs_in_on_djangos_own_handler_only(sites: Sites) -> None:
    nobody = (200, "")

    assert sites.fetch("/m206/sync") == Answers(nobody, (200, "admin"), nobody)
    through_async_view = sites.fetch("/m206/async", "Set-Cookie")
    assert "sessionid=" in str(through_async_view.native)
    assert (through_async_view.gunicorn, through_async_view.bridge) == (None, None)


def test_m206_the_probe_reports_the_same() -> None:
    code = (
        "import tests.migrate.apps.proof as proof\n"
        "from bridge.migrate.introspect_script import probe_middleware\n"
        "facts = [probe_middleware(each) for each in proof.VARIANTS['m206']]\n"
        "print([each['trusts_header'] for each in facts])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=True
    )

    assert done.stdout.decode().strip() == str([False, False, django.VERSION >= (5, 2)])


def test_e104_wsgi_middleware_is_skipped_silently(sites: Sites) -> None:
    assert sites.fetch("/e104/sync", "X-Wsgi-Middleware") == Answers("here", None, "here")


@pytest.mark.parametrize("module", ["late_asgi", "late_bridge"])
def test_e102_the_server_does_not_start(module: str) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": ""}
    starting = serve("uvicorn-h11", f"tests.migrate.apps.{module}:application", env=environment)
    with pytest.raises(ServerFailed, match="ImproperlyConfigured"), starting:
        pass


def test_e106_with_lifespan_on_djangos_own_handler_does_not_start() -> None:
    starting = serve("uvicorn-h11", f"{PROOF}:native", args=["--lifespan", "on"])
    with pytest.raises(ServerFailed, match="lifespan"), starting:
        pass


def test_e106_with_lifespan_on_the_application_of_bridge_starts() -> None:
    with serve("uvicorn-h11", f"{PROOF}:through_bridge", args=["--lifespan", "on"]) as server:
        assert _fetch(server, "/e104/sync", "") == (200, "")


def manage(*arguments: str, daphne: str) -> subprocess.CompletedProcess[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.migrate.apps.daphne_settings", "DAPHNE": daphne}
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env={**os.environ, **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_e105_daphne_behind_staticfiles_fails_the_check() -> None:
    assert "daphne.E001" in manage("check", daphne="last").stderr
    assert manage("check", daphne="first").returncode == 0


def test_e105_runserver_stops_without_asgi_application() -> None:
    done = manage("runserver", "--noreload", "0", daphne="first")

    assert done.returncode != 0
    assert "ASGI_APPLICATION" in done.stdout + done.stderr

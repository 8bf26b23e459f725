"""Middleware, and whether async views run on the event loop inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LiveServer
from tests.django.conftest import Projects
from tests.django.names import HERE, STARTPROJECT
from tests.django.test_decision import ask
from tests.harness.control import Control

REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"


def sqlite(folder: Path) -> dict[str, Any]:
    """A database that threads share."""
    options = {"timeout": 20}
    engine = "django.db.backends.sqlite3"
    return {"default": {"ENGINE": engine, "NAME": str(folder / "db"), "OPTIONS": options}}


@pytest.fixture
def sync_only(project: Projects) -> LiveServer:
    return project({"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.sync_only"]})


def test_a_sync_only_middleware_makes_async_views_run_from_workers(sync_only: LiveServer) -> None:
    response = sync_only.client.fetch("GET", "/async/")

    assert response.header("x-sync-only") == "passed"
    seen = response.json()
    assert (seen["kind"], seen["request"]) == ("async", "BridgedRequest")
    assert seen["loop"] == ask(sync_only, "/async/class/")["loop"] != None  # noqa: E711
    log = sync_only.server.log()
    assert log.count(f"async views run from worker threads: {HERE}.sync_only is sync-only") == 1


def test_an_async_iterator_streams_from_there(
    sync_only: LiveServer, control: Control, key: str
) -> None:
    """Django's WSGI handler alone collects it first, and never returns if it is endless."""
    exchange = sync_only.client.open("GET", f"/stream/async/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"

    exchange.close()
    control.open(key, "chunk")

    [closed] = control.expect(key, "closed")
    assert closed["request"] == "BridgedRequest"


def test_a_mixin_that_overrides_call_works(project: Projects) -> None:
    """Django's ASGI handler answers each such request with 500."""
    site = project({"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.OwnCall"]})

    for path in ("/sync/", "/async/"):
        response = site.client.fetch("GET", path)
        assert (response.status, response.header("x-own-call")) == (200, "passed")
    assert ask(site, "/async/")["request"] == "BridgedRequest"


def test_a_mixin_that_does_not_call_super_works(project: Projects) -> None:
    site = project({"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.ForgetsSuper"]})

    for path in ("/sync/", "/async/"):
        response = site.client.fetch("GET", path)
        assert (response.status, response.header("x-own-call")) == (200, "passed")
    assert ask(site, "/async/")["request"] == "BridgedRequest"


def test_an_async_view_in_atomic_requests_fails_as_in_django(
    project: Projects, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = sqlite(tmp_path_factory.mktemp("atomic"))
    database["default"]["ATOMIC_REQUESTS"] = True
    site = project({"DATABASES": database})

    assert ask(site, "/sync/")["kind"] == "sync"
    assert site.client.fetch("GET", "/async/").status == 500
    assert "ATOMIC_REQUESTS with async views" in site.log("ATOMIC_REQUESTS with async views")


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a site that logs in the user that the web server names."""
    return {
        "DATABASES": sqlite(tmp_path_factory.mktemp("accounts")),
        "MIDDLEWARE": [*STARTPROJECT, REMOTE_USER],
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.RemoteUserBackend"],
    }


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
@pytest.mark.parametrize("name", ["remote-user", "remote_user", "http-remote-user"])
def test_no_header_authenticates_a_user(
    project: Projects, accounts: dict[str, Any], path: str, name: str
) -> None:
    """Under Django's ASGI handler ``RemoteUserMiddleware`` reads the header ``remote-user``."""
    site = project(accounts, {"trusted": True}, env={"BRIDGE_TEST_MIGRATE": "1"})

    seen = ask(site, path, (name, "root"))

    assert (seen["user"], seen["remote_user"]) == ("AnonymousUser", None)


@pytest.mark.parametrize("path", ["/sync/", "/async/"])
def test_a_trusted_source_authenticates_a_user(
    project: Projects, accounts: dict[str, Any], path: str
) -> None:
    site = project(accounts, {"trusted": True}, env={"BRIDGE_TEST_MIGRATE": "1"})

    seen = ask(site, path, ("x-proxy-user", "ann"))

    assert (seen["user"], seen["remote_user"]) == ("ann", "ann")


def test_async_views_on_the_loop_see_the_user_of_a_trusted_source(project: Projects) -> None:
    site = project(options={"trusted": True})

    seen = ask(site, "/async/", ("x-proxy-user", "ann"))

    assert (seen["request"], seen["remote_user"]) == ("ASGIRequest", "ann")


# -- context variables -----------------------------------------------------------------------------

SCOPED = [f"{HERE}.SeesScoped", f"{HERE}.Scoped"]
VIEWS = {
    "/sync/": (200, None),
    "/async/": (200, None),
    "/stream/short/": (200, b"0;1;2;"),
    "/missing/async/": (404, None),
}


@pytest.mark.parametrize("path", VIEWS)
def test_a_variable_set_before_the_view_is_reset_after_it(project: Projects, path: str) -> None:
    """Both hooks run in one context: a token can be reset only in its own.

    Django's WSGI handler does that, too; its ASGI handler answers with 500.
    """
    settings = {"MIDDLEWARE": [*STARTPROJECT, *SCOPED]}
    wsgi, asgi = "tests.django.handlers:native_wsgi", "tests.django.handlers:native_asgi"
    ours, native_wsgi = project(settings), project(settings, server="gunicorn-gthread", target=wsgi)
    native_asgi = project(settings, target=asgi)

    for site in (ours, native_wsgi):
        for number in range(3):
            response = site.client.fetch("GET", path, headers=[("x-tenant", f"tenant{number}")])
            body = VIEWS[path][1]
            assert response.status == VIEWS[path][0], site.log()
            assert body is None or response.body == body
            seen = [response.header(f"x-{when}") for when in ("before", "within", "after", "outer")]
            assert seen == ["-", f"tenant{number}", "-", "--"]
            if path in ("/sync/", "/async/"):
                assert response.json()["tenant"] == f"tenant{number}"
    assert native_asgi.client.fetch("GET", path).status == 500


@pytest.mark.parametrize("more", [[], [f"{HERE}.sync_only"]], ids=["loop", "workers"])
@pytest.mark.parametrize("target", ["project:app", "handlers:adapted"])
def test_a_lazy_object_in_a_variable_is_not_evaluated(
    project: Projects, target: str, more: list[str]
) -> None:
    """asgiref looks at its class on the event loop, which evaluates it."""
    settings = {"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.Lazy", *more]}
    site = project(settings, target=f"tests.django.{target}")

    for path in ("/sync/", "/async/", "/stream/short/"):
        assert site.client.fetch("GET", path).status == 200, site.log()

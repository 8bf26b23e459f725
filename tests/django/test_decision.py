"""Which of Django's handlers serves which view: the decision table, row by row."""

from __future__ import annotations

from typing import Any

import django
import pytest

from tests.conftest import LiveServer
from tests.django.conftest import Projects

UUID = "3d0f4d34-0000-4000-8000-000000000000"

ON_THE_LOOP = {
    "a coroutine function": "/async/",
    "a class with async methods": "/async/class/",
    "a partial of a coroutine function": "/async/partial/",
    "an instance marked as coroutine function": "/async/marked/",
    **({"Django's own decorators": "/async/exempt/"} if django.VERSION >= (5, 0) else {}),
    "Django's own converters": f"/async/typed/1/b/{UUID}/x/y",
    "a converter with only a custom pattern": "/async/year/2024/",
    "a regular expression": "/async/regex/abc/",
    "a translated route": "/async/translated/",
    "included": "/nested/async/3/",
    "in a URLconf that includes itself": "/again/async/",
    "a catch-all": "/spa/anywhere/at/all",
    "below a language": "/en/language/",
    "below another language": "/de/language/",
}
ON_A_WORKER = {
    "a function": "/sync/",
    "a class": "/sync/class/",
    "included": "/nested/sync/",
    "before an async catch-all": "/spa/sync/",
    "below a language": "/de/language/sync/",
}
FROM_A_WORKER = {
    "a converter that may block": "/async/stored/abc/",
    "a custom pattern class": "/async/own/",
    "deep in a URLconf that includes itself": "/again/again/async/",
}


def ask(site: LiveServer, path: str, *fields: tuple[str, str]) -> Any:
    response = site.client.fetch("GET", path, fields)
    assert response.status == 200, site.log()
    return response.json()


@pytest.mark.parametrize("path", ON_THE_LOOP.values(), ids=ON_THE_LOOP)
def test_an_async_view_runs_on_the_event_loop(site: LiveServer, path: str) -> None:
    seen = ask(site, path)

    assert seen["kind"] == "async"
    assert (seen["request"], seen["thread"]) == ("ASGIRequest", "MainThread")


@pytest.mark.parametrize("path", ON_A_WORKER.values(), ids=ON_A_WORKER)
def test_a_sync_view_runs_entirely_on_a_worker_thread(site: LiveServer, path: str) -> None:
    seen = ask(site, path)

    assert seen["kind"] == "sync"
    assert seen["request"] == "BridgedRequest"
    assert seen["thread"].startswith("bridge-worker-")
    assert seen["loop"] is None


@pytest.mark.parametrize("path", FROM_A_WORKER.values(), ids=FROM_A_WORKER)
def test_an_uncertain_async_view_runs_on_the_loop_from_a_worker(
    site: LiveServer, path: str
) -> None:
    seen = ask(site, path)

    assert (seen["kind"], seen["request"]) == ("async", "BridgedRequest")
    assert seen["loop"] == ask(site, "/async/")["loop"]


def test_a_custom_converter_runs_once_and_on_the_worker(site: LiveServer) -> None:
    ask(site, "/conversions/")

    assert "ABC" in ask(site, "/async/stored/abc/")["arguments"]

    threads = ask(site, "/conversions/")["threads"]
    assert len(threads) == 1
    assert threads[0].startswith("bridge-worker-")


def test_a_path_without_a_view_is_answered_as_in_django(site: LiveServer) -> None:
    assert site.client.fetch("GET", "/nowhere/").status == 404
    redirect = site.client.fetch("GET", "/async/class")
    assert (redirect.status, redirect.header("location")) == (301, "/async/class/")


def test_a_decorator_that_hides_a_coroutine_fails_as_in_django(site: LiveServer) -> None:
    assert site.client.fetch("GET", "/async/wrapped/").status == 500
    assert "unawaited coroutine" in site.log("unawaited coroutine")


def test_a_path_on_which_two_urlconfs_differ_is_uncertain(project: Projects) -> None:
    site = project(env={"BRIDGE_TEST_OF": "urlconf"})
    other = ("x-urlconf", "tests.django.urls_other")
    assert ask(site, "/contested/")["request"] == "ASGIRequest"

    first = ask(site, "/contested/", other)
    second = ask(site, "/contested/", other)
    assert (first["kind"], first["urlconf"]) == ("sync", "tests.django.urls_other")
    assert (second["kind"], second["request"]) == ("sync", "BridgedRequest")

    assert ask(site, "/contested/")["kind"] == "async"
    assert ask(site, "/contested/")["request"] == "BridgedRequest"
    assert ask(site, "/async/")["request"] == "ASGIRequest"  # the other URLconf has no such path
    assert ask(site, "/only/other/", other)["request"] == "ASGIRequest"


def test_new_views_are_found_once_the_url_caches_are_cleared(project: Projects) -> None:
    site = project(env={"BRIDGE_TEST_OF": "reload"})
    assert site.client.fetch("GET", "/grown/").status == 404

    ask(site, "/grow/")

    assert ask(site, "/grown/")["request"] == "ASGIRequest"


def test_django_reports_a_urlconf_that_cannot_be_imported(project: Projects) -> None:
    site = project({"ROOT_URLCONF": "tests.django.no_such_urls"})

    assert site.client.fetch("GET", "/").status == 500
    assert "'tests.django.no_such_urls' cannot be imported" in site.server.log()

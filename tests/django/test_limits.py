"""``get_asgi_application(limits=...)``: slow views that leave the threads to the others."""

from __future__ import annotations

import pytest

from tests.django.conftest import Projects
from tests.django.test_decision import ask
from tests.harness.control import Control

LIMITS = {
    "/stream/sync": {"threads": 1, "backlog": 1},
    "/sync/class": {"threads": 1, "reserved": True},
}
OPTIONS = {"threads": 2, "backlog": 1, "limits": LIMITS}


@pytest.mark.parametrize("root_path", ["", "/shop"])
def test_a_slow_view_leaves_the_other_threads_free(
    project: Projects, control: Control, key: str, root_path: str
) -> None:
    args = ("--root-path", root_path) if root_path else ()
    site = project(options=OPTIONS, args=args)
    held = [site.client.open("GET", f"/stream/sync/{key}/") for _ in range(2)]
    control.expect_waiting(key, "chunk")
    assert ask(site, "/sync/")["kind"] == "sync"
    assert site.client.fetch("GET", f"/stream/sync/{key}/").status == 503
    assert control.waiting(key, "chunk") == 1
    control.open(key, "chunk")

    assert [each.read().body for each in held] == [b"0;1;2;"] * 2


def test_a_reserved_thread_serves_its_view_while_the_others_are_busy(
    project: Projects, control: Control, key: str
) -> None:
    site = project(
        options={"threads": 2, "backlog": 1, "limits": {"/sync/": LIMITS["/sync/class"]}}
    )
    held = [site.client.open("GET", f"/stream/sync/{key}/") for _ in range(2)]
    control.expect_waiting(key, "chunk", count=2)
    assert ask(site, "/sync/")["kind"] == "sync"
    assert ask(site, "/async/")["kind"] == "async"
    control.open(key, "chunk")

    assert [each.read().body for each in held] == [b"0;1;2;"] * 2


def test_on_a_wsgi_server_a_slow_view_leaves_its_threads_free(
    project: Projects, control: Control, key: str
) -> None:
    site = project(options=OPTIONS, server="gunicorn-gthread")
    held = site.client.open("GET", f"/stream/sync/{key}/")
    control.expect_waiting(key, "chunk")
    refused = [site.client.fetch("GET", f"/stream/sync/{key}/").status for _ in range(6)]
    assert ask(site, "/sync/")["kind"] == "sync"
    control.open(key, "chunk")

    assert refused == [503] * 6
    assert held.read().body == b"0;1;2;"

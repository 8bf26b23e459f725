"""The same project on every server: sync views, async views, streams, a WebSocket."""

from __future__ import annotations

import pytest

from tests.conftest import Site
from tests.django.conftest import Projects
from tests.django.test_decision import ask
from tests.django.test_websocket import say
from tests.harness.control import Control

ASGI = ["uvicorn-uvloop", "hypercorn", "granian", "daphne", "gunicorn-asgi"]


@pytest.fixture(params=ASGI)
def each(request: pytest.FixtureRequest, project: Projects) -> Site:
    return project(options={"websocket": True}, server=request.param)


def test_every_kind_of_request_is_served(each: Site, control: Control, key: str) -> None:
    assert ask(each, "/sync/")["request"] == "BridgedRequest"
    assert ask(each, "/async/")["request"] == "ASGIRequest"
    assert each.client.fetch("POST", "/echo/", body=b"aye").json()["body"] == "aye"
    assert say(each, "ahoy") == "high: ahoy"
    for view in ("sync", "async"):
        control.open(f"{key}-{view}", "chunk")
        stream = each.client.fetch("GET", f"/stream/{view}/{key}-{view}/")
        assert stream.body == b"0;1;2;"


@pytest.mark.parametrize("server", ["gunicorn-gthread", "waitress"])
def test_a_wsgi_server_serves_the_same_object(
    project: Projects, control: Control, key: str, server: str
) -> None:
    site = project(options={"websocket": True}, server=server)

    assert ask(site, "/sync/")["kind"] == "sync"
    assert ask(site, "/async/")["kind"] == "async"
    exchange = site.client.open("GET", f"/stream/async/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"
    control.open(key, "chunk")
    assert exchange.read().body == b"1;2;"

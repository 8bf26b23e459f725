"""A worker of gunicorn that an error has ended answers the requests that it has accepted."""

from __future__ import annotations

import socket

import pytest

from tests.apps.asgi_exhausting import WAITING
from tests.harness.http import Http1Client
from tests.harness.ports import HOST
from tests.harness.servers import serve
from tests.harness.wsgi import Background
from tests.harness.wsgi_servers import WSGI

HOOKS = ("--config", "python:bridge.contrib.gunicorn")


def fetch(port: int, path: str) -> int:
    return Http1Client(port, timeout_s=60).fetch("GET", path).status


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
def test_a_gthread_worker_without_descriptors_answers_what_it_has_accepted(
    hooks: tuple[str, ...],
) -> None:
    with serve(
        WSGI["gunicorn-gthread"].spec,
        "tests.apps.asgi_exhausting:wsgi_app",
        args=("--threads", "2", *hooks),
    ) as server:
        exhausting = Background(fetch, server.port, "/exhaust")
        server.wait_for_log("has a thread")  # the others may take all threads from here on
        clients = [Background(fetch, server.port, "/wait") for _ in range(WAITING)]
        server.wait_for_log("no descriptors are left")
        with socket.create_connection((HOST, server.port)):  # accept() fails
            statuses = [client.result() for client in (exhausting, *clients)]
        log = server.wait_for_log("shut down")

    assert statuses == [200] * (1 + WAITING)
    assert "Too many open files" in log

"""The project of :mod:`tests.django.project` on a server, with the settings of a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.control import Control

TARGET = "tests.django.project:app"
SERVER = "uvicorn-httptools"


class Projects(Protocol):
    """Returns a running project with these settings and options, shared within a module."""

    def __call__(
        self,
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        *,
        server: str = SERVER,
        target: str = TARGET,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> LiveServer: ...


@pytest.fixture(scope="module")
def servers(control: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Running servers, shared by the tests of a module: there is a process for each setting."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture
def project(servers: Servers) -> Iterator[Projects]:
    opened: list[LiveServer] = []

    def get(
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        *,
        server: str = SERVER,
        target: str = TARGET,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> LiveServer:
        variables = {
            "BRIDGE_TEST_DJANGO": json.dumps(settings or {}),
            "BRIDGE_TEST_DJANGO_OPTIONS": json.dumps(options or {}),
            **(env or {}),
        }
        opened.append(LiveServer.of(servers.get(server, target, env=variables, args=args)))
        return opened[-1]

    yield get
    for site in opened:
        site.client.close()


@pytest.fixture
def site(project: Projects) -> LiveServer:
    """The project with its own settings, and with an app for WebSockets."""
    return project(options={"websocket": True})

"""The page of limits has the defaults of the installed servers, frameworks and of bridge."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bridge.cli.options import WsgiOptions
from bridge.cli.servers.registry import SERVERS
from bridge.config import ToAsgiOptions, ToWsgiOptions
from tests.docs.blocks import ROOT
from tests.docs.tables import tables_of

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text("utf-8")
TABLES = tables_of(PAGE)
OVERVIEW = TABLES["Limits and timeouts"]
BY_SERVER = set(TABLES) - {"Limits and timeouts"}

Fact = tuple[str, str, object]
"""A heading of the page, the first cell of a row, and the default that is in the row."""


def click_defaults(command: Any) -> Mapping[str, Any]:
    return {each.name: each.default for each in command.params}


def daphne_defaults() -> Any:
    """Read in another process: its import installs Twisted's reactor."""
    code = (
        "import inspect, json; from daphne.server import Server;"
        "parameters = inspect.signature(Server).parameters.values();"
        "is_plain = lambda each: isinstance(each.default, int | None);"
        "print(json.dumps({each.name: each.default for each in parameters if is_plain(each)}))"
    )
    return json.loads(subprocess.check_output([sys.executable, "-c", code], timeout=60))


def asgi_servers() -> Iterator[Fact]:
    from granian.cli import cli as granian_command
    from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
    from hypercorn.config import Config as Hypercorn
    from twisted.internet.tcp import Port
    from twisted.web.http import HTTPChannel, HTTPFactory
    from uvicorn.main import main as uvicorn_command

    uvicorn = click_defaults(uvicorn_command)
    assert uvicorn["h11_max_incomplete_event_size"] is None
    assert uvicorn["limit_concurrency"] is None
    yield "Request timeout", "uvicorn", uvicorn["timeout_worker_healthcheck"]
    yield "Slow clients", "uvicorn", uvicorn["timeout_keep_alive"]
    yield "Max header size", "uvicorn", DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
    yield "Backlog", "uvicorn", uvicorn["backlog"]
    yield "WebSocket messages", "uvicorn", uvicorn["ws_max_size"]

    granian = click_defaults(granian_command)
    yield "Slow clients", "granian", granian["http1_header_read_timeout"] // 1000
    yield "Max header size", "granian", granian["http1_buffer_size"]
    yield "Backlog", "granian", granian["backlog"]
    yield "Max connections", "granian", granian["backlog"]

    hypercorn = Hypercorn()
    assert hypercorn.read_timeout is None
    yield "Slow clients", "hypercorn", int(hypercorn.keep_alive_timeout)
    yield "Max header size", "hypercorn", hypercorn.h11_max_incomplete_size
    yield "Backlog", "hypercorn", hypercorn.backlog
    yield "WebSocket messages", "hypercorn", hypercorn.websocket_max_message_size

    daphne = daphne_defaults()
    assert daphne["http_timeout"] is None
    yield "Slow clients", "daphne", HTTPFactory.timeOut
    yield "Max header size", "daphne", HTTPChannel.totalHeadersSize
    yield "Max header size", "daphne", HTTPChannel.maxHeaders
    yield "Backlog", "daphne", Port.backlog
    yield "WebSocket messages", "daphne", daphne["websocket_max_message_size"]


def wsgi_servers() -> Iterator[Fact]:
    from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]  # no stubs
    from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # no stubs

    gunicorn = {each.name: each.default for each in KNOWN_SETTINGS}
    yield "Request timeout", "gunicorn", gunicorn["timeout"]
    yield "Slow clients", "gunicorn", gunicorn["keepalive"]
    for name in ("limit_request_line", "limit_request_field_size", "limit_request_fields"):
        yield "Max header size", "gunicorn", gunicorn[name]
    yield "Backlog", "gunicorn", gunicorn["backlog"]
    yield "Max connections", "gunicorn", gunicorn["worker_connections"]
    yield "WebSocket messages", "gunicorn", ToWsgiOptions().max_message_bytes

    waitress = Adjustments()
    yield "Slow clients", "waitress", waitress.channel_timeout
    yield "Max body size", "waitress", waitress.max_request_body_size
    yield "Max header size", "waitress", waitress.max_request_header_size
    yield "Backlog", "waitress", waitress.backlog
    yield "Max connections", "waitress", waitress.connection_limit


def frameworks() -> Iterator[Fact]:
    from django.conf import global_settings
    from flask import Flask

    flask = Flask(__name__).config
    assert flask["MAX_CONTENT_LENGTH"] is None
    yield "Max body size", "Flask", flask["MAX_FORM_MEMORY_SIZE"]
    yield "Max body size", "Django", global_settings.DATA_UPLOAD_MAX_MEMORY_SIZE


@pytest.mark.parametrize("facts", [asgi_servers, wsgi_servers, frameworks])
def test_defaults_are_those_of_the_installed_versions(facts: Any) -> None:
    missing = [
        (heading, row, default)
        for heading, row, default in facts()
        if f"{default:,}" not in " | ".join(TABLES[heading][row])
    ]

    assert missing == []


def test_every_server_of_bridge_run_is_in_every_table() -> None:
    incomplete = {heading: set(SERVERS) - set(TABLES[heading]) for heading in BY_SERVER}

    assert BY_SERVER
    assert {heading: missing for heading, missing in incomplete.items() if missing} == {}


def test_every_limit_of_the_overview_has_a_section() -> None:
    sections = {first.split("]")[0].strip("[") for first in OVERVIEW} - {"Limit"}

    assert sections == BY_SERVER


def test_the_overview_has_the_defaults_of_bridge() -> None:
    in_code, on_the_command_line = ToAsgiOptions(), WsgiOptions()
    bridge = {first.split("]")[0].strip("["): cells[2] for first, cells in OVERVIEW.items()}

    assert in_code.request_timeout_s is in_code.queue_timeout_s is None
    assert f"{on_the_command_line.request_timeout_s:g} s with" in bridge["Request timeout"]
    assert f"{on_the_command_line.queue_timeout_s:g} s with" in bridge["Queue timeout"]
    assert f"`body_timeout_s`, {in_code.body_timeout_s:g} s" in bridge["Slow clients"]
    assert f"{in_code.duplicate_header_limit} fields" in bridge["Max header size"]
    assert f"{in_code.backlog:,} requests" in bridge["Backlog"]

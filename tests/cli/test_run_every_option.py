"""Every option of `bridge run` on every server: it changes what runs, or is refused by name.

The options are those that click knows. No server is started: what would be started is compared with
and without the option. What an option does is tested elsewhere, on real servers.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli import commands, panel, run
from bridge.cli.options import RunOptions
from bridge.cli.servers.registry import SERVERS
from bridge.cli.servers.spec import ServerSpec
from tests.cli.test_run_config import options

pytestmark = pytest.mark.usefixtures("here", "own_signals")

LISTENER = socket.create_server(("127.0.0.1", 0))
ARGUMENTS: dict[str, list[str]] = {
    "websocket": ["--websocket", "/ws=proxied_site:asgi"],
    "interface": ["--interface", "wsgi"],
    "app-dir": ["--app-dir", "."],
    "workers": ["--workers", "3"],
    "threads": ["--threads", "7"],
    "wait-target-s": ["--wait-target-s", "0.5"],
    "buffer-request-bytes": ["--buffer-request-bytes", "9"],
    "body-timeout-s": ["--body-timeout-s", "5"],
    "spool-bytes": ["--spool-bytes", "9"],
    "limit": ["--limit", "/reports=2:9"],
    "reserve": ["--reserve", "/reserved"],
    "loop-lag-target-s": ["--loop-lag-target-s", "0.5"],
    "queue-timeout-s": ["--queue-timeout-s", "5"],
    "request-timeout-s": ["--request-timeout-s", "5"],
    "reload": ["--reload"],
    "grace-s": ["--grace-s", "4"],
    "drain-s": ["--drain-s", "2.5"],
    "max-requests": ["--max-requests", "50"],
    "max-requests-jitter": ["--max-requests", "50", "--max-requests-jitter", "5"],
    "healthz": ["--healthz", "/healthz"],
    "log-level": ["--log-level", "warning"],
    "host": ["--host", "127.0.0.2"],
    "port": ["--port", "0"],
    "uds": ["--uds", "site.sock"],
    "fd": ["--fd", str(LISTENER.fileno())],
    "root-path": ["--root-path", "/shop"],
    "trusted": ["--trusted", "10.0.0.5"],
    "proxy-headers": ["--trusted", "10.0.0.5", "--proxy-headers", "forwarded"],
    "access-log": ["--access-log", "json"],
    "request-id": ["--request-id"],
    "request-start": ["--request-start"],
    "server-timing": ["--server-timing"],
    "metrics": ["--metrics", "127.0.0.1:9999"],
    "control": ["--control", "FOLDER"],
    "env-file": ["--env-file", "site.env"],
}
BESIDE = {
    "max-requests": ["--workers", "2"],
    "max-requests-jitter": ["--workers", "2", "--max-requests", "50"],
    "proxy-headers": ["--trusted", "10.0.0.5"],
    "port": ["--port", "1"],
}
"""What the option is compared with, if not the default."""
NO_OPTIONS = {"targets", "server"}
REFUSED = {
    ("workers", "daphne"),
    ("workers", "waitress"),
    ("reload", "daphne"),
    ("reload", "waitress"),
    *(
        (option, server)
        for option in (
            *("wait-target-s", "queue-timeout-s", "request-timeout-s"),
            *("buffer-request-bytes", "body-timeout-s", "spool-bytes"),
            *("limit", "reserve", "loop-lag-target-s"),
        )
        for server in ("gunicorn", "waitress")
    ),
    *(
        (option, server)
        for option in ("max-requests", "max-requests-jitter")
        for server in ("granian", "daphne", "waitress")
    ),
}
"""As the reference has it."""

Started = tuple[list[str], str, bool, float | None, str | None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Started]:
    """What would be started."""
    seen: list[Started] = []

    def note(spec: ServerSpec, given: RunOptions, served: Any) -> int:
        arguments = spec.command_line(given)
        in_process = spec.serves_in_process(given)
        drain_s = given.drain_s if given.announces_stop else None
        variable = os.environ.get("SITE_VARIABLE")
        seen.append((arguments, os.environ["BRIDGE_RUN"], in_process, drain_s, variable))
        return 0

    monkeypatch.setattr(run, "_start", note)
    monkeypatch.setattr(panel, "show", lambda facts, notes: None)
    monkeypatch.setattr(run, "free_port", lambda host, port: port)
    monkeypatch.setenv("BRIDGE_RUN", "")
    monkeypatch.setenv("SITE_VARIABLE", "")
    monkeypatch.delenv("SITE_VARIABLE")
    return seen


def _run(server: str, *args: str) -> tuple[int, str]:
    done = CliRunner().invoke(commands.app, ["run", "proxied_site:wsgi", "--server", server, *args])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


def test_every_option_is_in_the_table() -> None:
    assert set(ARGUMENTS) == set(options()) - NO_OPTIONS, "put a new option into ARGUMENTS"


@pytest.mark.parametrize("server", list(SERVERS))
@pytest.mark.parametrize("option", list(ARGUMENTS))
def test_it_has_an_effect_or_is_refused_by_name(
    option: str, server: str, started: list[Started], tmp_path: Path
) -> None:
    beside = BESIDE.get(option, [])
    given = [each.replace("FOLDER", str(tmp_path)) for each in ARGUMENTS[option]]
    if (option, server) not in REFUSED:
        assert _run(server, *beside) == (0, "")
        assert _run(server, *beside, *given) == (0, "")
        without, with_option = started
        assert with_option != without
        return
    code, message = _run(server, *beside, *given)
    assert (code, started) == (2, []), message
    named = option.removesuffix("-jitter")
    assert message.startswith(f"bridge: --{named}: {server}"), message
    assert "uvicorn" in message, "it names the servers that support the option"

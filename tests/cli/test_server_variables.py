"""Environment variables that configure a server by themselves have no effect under `bridge run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import TARGETS, client_of, facts, running
from tests.harness.servers import ROOT

VARIABLES = {
    "uvicorn": {
        "UVICORN_UDS": "/nowhere/uvicorn.sock",
        "UVICORN_FACTORY": "true",
        "UVICORN_ROOT_PATH": "/elsewhere",
        "UVICORN_VERSION": "0.54",  # as a Dockerfile has it, and not a valid boolean
    },
    "granian": {
        "GRANIAN_UDS": "/nowhere/granian.sock",
        "GRANIAN_BLOCKING_THREADS": "8",
        "GRANIAN_HTTP": "2",
        "GRANIAN_URL_PATH_PREFIX": "/elsewhere",
        "GRANIAN_VERSION": "2.8",
    },
    "gunicorn": {
        "GUNICORN_CMD_ARGS": "--preload --max-requests 1",
        "GUNICORN_PID": "1",
        "WEB_CONCURRENCY": "auto",
    },
}
NOTES = {
    "uvicorn": "bridge run ignores variables of uvicorn: UVICORN_FACTORY, UVICORN_ROOT_PATH (use "
    "--root-path), UVICORN_UDS (use --uds), UVICORN_VERSION",
    "granian": "bridge run ignores variables of granian: GRANIAN_BLOCKING_THREADS, GRANIAN_HTTP, "
    "GRANIAN_UDS (use --uds), GRANIAN_URL_PATH_PREFIX (use --root-path), GRANIAN_VERSION",
    "gunicorn": "bridge run ignores variables of gunicorn: GUNICORN_CMD_ARGS, GUNICORN_PID",
}


@pytest.mark.parametrize("server", VARIABLES)
def test_they_change_nothing_and_one_note_names_them(server: str) -> None:
    with running(server, TARGETS["flask"], env=VARIABLES[server]) as site:
        assert facts(site)["root_path"] == ""
        assert len({facts(site)["pid"] for _ in range(3)}) == 1, "gunicorn replaces its workers"
        site.terminate()
        log = site.log()

    notes = [line for line in log.splitlines() if "ignores" in line]
    assert notes == [f"bridge: note: {NOTES[server]}"]


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_workers_ignore_them_too(server: str) -> None:
    args = ("--workers", "2")
    with running(server, TARGETS["flask"], *args, env=VARIABLES[server]) as site:
        assert facts(site)["root_path"] == ""


SETS_A_VARIABLE = """
import os

os.environ["UVICORN_ROOT_PATH"] = "/elsewhere"  # as python-dotenv does

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{environ['SCRIPT_NAME']} {os.environ['UVICORN_ROOT_PATH']}".encode()]
"""


@pytest.mark.parametrize("args", [(), ("--workers", "2")])
def test_one_that_the_app_sets_is_for_the_app_alone(args: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SETS_A_VARIABLE)
    with running("uvicorn", "main.py", *args, cwd=tmp_path) as site:
        assert client_of(site).fetch("GET", "/").body == b" /elsewhere"


@pytest.mark.parametrize("server", VARIABLES)
def test_names_that_the_server_does_not_read_are_left_alone(server: str) -> None:
    """Kubernetes sets such names for a service called like the server."""
    env = {f"{server.upper()}_SERVICE_HOST": "10.0.0.1", f"{server.upper()}_PORT_80_TCP": "x"}
    with running(server, TARGETS["flask"], env=env) as site:
        facts(site)
        assert "ignores" not in site.log()


def test_gunicorn_ignores_the_sockets_of_systemd(tmp_path: Path) -> None:
    """``LISTEN_PID`` is the process that systemd starts, which becomes gunicorn's master."""
    code = (
        "import os, sys; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
        "sys.argv[1:] = ['run', 'main.py', '--server', 'gunicorn', '--uds', 'site.sock']; "
        "from bridge.cli.__main__ import main; main()"
    )
    (tmp_path / "main.py").write_text("def app(environ, start_response): ...\n")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line)
            if "Listening at" in line:
                break
    finally:
        process.terminate()
        process.communicate(timeout=30)

    assert "Listening at: unix:site.sock" in lines[-1]
    assert any("LISTEN_FDS (use --fd 3)" in line for line in lines)
    assert process.returncode == 0

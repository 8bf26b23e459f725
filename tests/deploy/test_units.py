"""systemd's units: valid, consistent, and the service loses no request when it is restarted."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from configparser import ConfigParser
from contextlib import closing
from pathlib import Path

from tests.harness.activated import activated
from tests.harness.ports import HOST
from tests.harness.servers import ROOT
from tests.harness.steady import steady_clients, wait_for_more
from tests.harness.tools import find_program

UNITS = ROOT / "deploy" / "systemd"
PROGRAM = "/srv/site/.venv/bin/bridge"


def _unit(name: str) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys have capital letters
    parser.read_string((UNITS / name).read_text("utf-8"))
    return parser


def _arguments() -> list[str]:
    program, *arguments = shlex.split(_unit("site.service")["Service"]["ExecStart"])
    assert program == PROGRAM
    return arguments


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = find_program("systemd-analyze", package="systemd")
    for name in ("site.socket", "site.service"):
        text = (UNITS / name).read_text("utf-8")
        text = text.replace(PROGRAM, sys.executable).replace("User=site", "User=daemon")
        (tmp_path / name).write_text(text)
    files = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line]


def test_the_socket_is_the_first_of_the_service_and_has_no_nagle() -> None:
    listener = _unit("site.socket")["Socket"]
    assert "Accept" not in listener
    assert listener.getboolean("NoDelay")
    assert _arguments()[:2] == ["run", "main:app"]
    assert _arguments()[_arguments().index("--fd") + 1] == "3"


def test_systemd_waits_longer_than_the_grace_period() -> None:
    service = _unit("site.service")["Service"]
    grace_s = int(_arguments()[_arguments().index("--grace-s") + 1])
    assert int(service["TimeoutStopSec"]) > grace_s + 30


def test_a_restart_of_the_service_loses_no_request() -> None:
    arguments = _arguments()[1:]
    del arguments[arguments.index("--fd") : arguments.index("--fd") + 2]
    with closing(socket.create_server((HOST, 0), backlog=128)) as listener:
        listener.set_inheritable(True)
        address = listener.getsockname()
        quiet = ("--log-level", "warning")
        with (
            activated(listener, *arguments, *quiet, cwd=ROOT / "deploy" / "site") as service,
            steady_clients(address) as outcomes,
        ):
            wait_for_more(outcomes)
            service.stop()
            service.start()
            wait_for_more(outcomes)
    assert set(outcomes) == {"200"}

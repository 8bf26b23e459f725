"""``bridge top`` and ``bridge stacks``, with real servers that are stuck somewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from bridge.cli.control.live import one_picture
from tests.cli.running import Finished, bridge, client_of, left_behind, running
from tests.harness.control import Control
from tests.harness.http import Http1Client
from tests.harness.servers import ROOT, Server, ServerSpec, serve

pytestmark = pytest.mark.usefixtures("control")

TARGET = "tests.control.site:app"
WORKERS = {
    "uvicorn": 1,
    "uvicorn-workers": 2,
    "gunicorn": 2,
    "granian": 2,
    "hypercorn": 2,
    "daphne": 1,
    "waitress": 1,
}


class Site:
    """A server, and the commands that look into it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def wait_for_sockets(self, count: int) -> None:
        """Wait until so many workers have started."""
        deadline = time.monotonic() + 60
        while len(list(self.folder.glob("*.sock"))) < count and time.monotonic() < deadline:
            time.sleep(0.02)  # polling, with a deadline: a folder has no event to wait for

    def top(self, *args: str) -> Finished:
        command = ("top", str(self.folder), "--once", "--interval-s", "0.3", *args)
        return bridge(*command, cwd=ROOT)

    def processes(self) -> list[Any]:
        """As `bridge top --once --format json`, in this process: that takes less time."""
        picture = one_picture(str(self.folder), 0.2)
        assert not any(process.problem for process in picture.processes), picture
        return [process.as_json() for process in picture.processes]

    def rows(self) -> list[Any]:
        return [row for process in self.processes() for row in process["work"]]

    def stacks(self, *args: str) -> Finished:
        return bridge("stacks", str(self.folder), *args, cwd=ROOT)

    @contextmanager
    def stuck(self, path: str, control: Control, key: str, count: int = 1) -> Iterator[None]:
        """``count`` requests that wait at the gate of ``key``."""
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(closing(client_of(self.server).open("GET", path)))
            control.expect_waiting(key, "go", count)
            try:
                yield
            finally:
                for _ in range(count):
                    control.open(key, "go")


@contextmanager
def site_on(name: str, control: Control) -> Iterator[Site]:
    server = name.partition("-")[0]
    args = ["--workers", "2"] if WORKERS[name] == 2 else []
    with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as folder:
        with running(server, TARGET, *args, "--control", folder, cwd=ROOT) as started:
            site = Site(started, Path(folder))
            site.wait_for_sockets(WORKERS[name])
            yield site
            started.terminate(40)
            assert left_behind(started) == []
        assert os.listdir(folder) == []  # each process has removed its socket


@pytest.fixture(scope="module")
def uvicorn(control: Control) -> Iterator[Site]:
    with site_on("uvicorn", control) as site:
        yield site


# -- what is shown ---------------------------------------------------------------------------------


def test_a_stuck_view_is_shown_with_its_thread_its_mount_and_its_stack(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/shop/gated/{key}", control, key):
        (row,) = uvicorn.rows()
        text, stacks = uvicorn.top().out, uvicorn.stacks().out
        printed = json.loads(uvicorn.top("--format", "json").out)

    assert row["kind"] == "http"
    assert (row["method"], row["what"], row["mount"]) == ("GET", f"/shop/gated/{key}", "/shop")
    assert re.fullmatch(r"bridge-worker-\d", row["thread"])
    assert row["for_s"] > 0
    assert [each["thread"] for each in printed["processes"][0]["work"]] == [row["thread"]]
    assert re.search(rf"{row['thread']} +/shop +GET /shop/gated/{key}$", text, re.MULTILINE)
    assert f"GET /shop/gated/{key} for " in stacks
    assert re.search(r"site.py:\d+, in wait_on_thread\n +gate\(key, \"go\"\)", stacks)


def test_a_request_on_the_event_loop_is_shown_with_what_it_awaits(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/gated/{key}", control, key):
        (row,) = uvicorn.rows()
        stacks = uvicorn.stacks().out

    assert (row["what"], row["thread"]) == (f"/gated/{key}", "")
    assert f"GET /gated/{key} for " in stacks
    assert " on the event loop" in stacks
    assert "in wait_on_loop\n" in stacks


def test_a_call_of_the_sync_helpers_is_shown_beside_its_request(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/calls/{key}", control, key):
        rows = {row["kind"]: row for row in uvicorn.rows()}

    assert rows["http"]["what"] == f"/calls/{key}"
    assert rows["call"]["what"] == "wait_on_thread"
    assert rows["call"]["thread"].startswith("bridge-sync-")


def test_a_blocked_event_loop_is_shown_with_the_line_that_blocks_it(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/blocks/{key}", control, key):
        stacks = uvicorn.stacks().out
        (process,) = uvicorn.processes()

    blocked = stacks.partition("event loop blocked for ")[2]
    assert "in wait_on_thread\n" in blocked.partition("\n\n")[0]
    assert max(loop["lag_p99_s"] or 0 for loop in process["loops"]) > 0.05


def test_what_waits_for_a_thread_is_counted(uvicorn: Site, control: Control, key: str) -> None:
    with uvicorn.stuck(f"/shop/gated/{key}", control, key, 2):
        before = pool_of(uvicorn)
        with closing(client_of(uvicorn.server).open("GET", "/shop/")) as third:
            while not (pool := pool_of(uvicorn))["waiting"]:
                pass
            text = uvicorn.top().out
            for _ in range(2):
                control.open(key, "go")
            assert third.read().status == 200

    assert (before["running"], before["waiting"], before["oldest_wait_s"]) == (2, 0, 0)
    assert (pool["running"], pool["most_threads"], pool["waiting"]) == (2, 2, 1)
    assert pool["oldest_wait_s"] > 0
    assert re.search(r" 2/\d+ +1 ", text)


def pool_of(site: Site) -> Any:
    (process,) = site.processes()
    return next(pool for pool in process["pools"] if pool["name"] == "bridge-worker")


def test_an_open_websocket_is_counted_and_shown(uvicorn: Site) -> None:
    with connect(f"ws://127.0.0.1:{uvicorn.server.port}/ws"):
        (process,) = uvicorn.processes()

    assert process["websockets"] == 1
    assert [(row["kind"], row["what"]) for row in process["work"]] == [("websocket", "/ws")]


def test_requests_that_have_ended_give_percentiles(uvicorn: Site) -> None:
    (before,) = uvicorn.processes()
    for path in ("/", "/shop/", "/"):
        client_of(uvicorn.server).fetch("GET", path)
    (after,) = uvicorn.processes()

    requests = after["requests"]
    assert requests["completed"] == before["requests"]["completed"] + 3
    assert 0 < requests["p50_s"] <= requests["p99_s"]
    assert after["work"] == []


def test_what_waits_for_nothing_special_is_summed_up(uvicorn: Site) -> None:
    client_of(uvicorn.server).fetch("GET", "/shop/")
    text = uvicorn.stacks().out

    assert re.search(r"^process \d+: 0 running$", text, re.MULTILINE)
    assert re.search(r"^    \d x thread bridge-worker, at ", text, re.MULTILINE)
    assert re.search(r"^    1 x task Server.serve, at ", text, re.MULTILINE)


# -- texts of clients ------------------------------------------------------------------------------

ESCAPES = "%1b]0;owned%07%1b[2J%0aGET%20/forged"


def test_control_characters_of_a_client_do_not_reach_the_output(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/gated/{key}/{ESCAPES}", control, key):
        outputs = [
            uvicorn.top().out,
            uvicorn.top("--format", "json").out,
            uvicorn.stacks().out,
            uvicorn.stacks("--format", "json").out,
        ]

    for output in outputs:
        assert "owned" in output
        assert not set(output) & (set(map(chr, range(32))) - {"\n"})
        assert "\nGET /forged" not in output


def test_the_live_view_escapes_them_and_ends_with_q(
    uvicorn: Site, control: Control, key: str
) -> None:
    with uvicorn.stuck(f"/gated/{key}/{ESCAPES}", control, key):
        shown, code = live(uvicorn, b"s", b"q")

    assert code == 0
    assert f"/gated/{key}/".encode() in shown
    assert b"\x1b]0;" not in shown
    assert rb"\x1b]0;owned\x07" in shown
    assert b"by time" in shown
    assert b"by process" in shown  # after s


def live(site: Site, *keys: bytes) -> tuple[bytes, int]:
    """What `bridge top` shows on a terminal, and its exit code."""
    terminal, slave = pty.openpty()
    command = [sys.executable, "-m", "bridge", "top", str(site.folder), "--interval-s", "0.1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"}
    environment["LINES"] = "40"
    process = subprocess.Popen(
        command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = b""
    pending = [(b"by time", keys[0]), (b"by process", keys[1])]
    try:
        while process.poll() is None or select.select([terminal], [], [], 0)[0]:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
            if pending and pending[0][0] in shown:
                os.write(terminal, pending.pop(0)[1])
        return shown, process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


# -- servers and workers ---------------------------------------------------------------------------


def full(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.full)


@pytest.mark.parametrize(
    "name",
    [
        "gunicorn",
        full("uvicorn-workers"),
        full("granian"),
        full("hypercorn"),
        full("daphne"),
        full("waitress"),
    ],
)
def test_every_worker_of_every_server_has_a_socket_while_it_runs(
    name: str, control: Control, key: str
) -> None:
    with site_on(name, control) as site:
        client_of(site.server).fetch("GET", "/shop/")
        with site.stuck(f"/shop/gated/{key}", control, key):
            processes = site.processes()
            text = site.top().out
            stacks = site.stacks().out

        assert len(processes) == WORKERS[name]
        assert {process["server"] for process in processes} == {site.server.pid}
        rows = [row for process in processes for row in process["work"]]
        assert [(row["what"], row["mount"]) for row in rows] == [(f"/shop/gated/{key}", "/shop")]
        assert rows[0]["thread"]
        assert text.count(f"GET /shop/gated/{key}") == 1
        assert "in wait_on_thread\n" in stacks


@pytest.mark.full
def test_a_stuck_view_behind_to_wsgi_is_shown_once_with_its_task(
    control: Control, key: str
) -> None:
    with site_on("gunicorn", control) as site, site.stuck(f"/gated/{key}", control, key):
        (row,) = site.rows()
        stacks = site.stacks().out

    assert (row["what"], row["thread"]) == (f"/gated/{key}", "")
    assert row["for_s"] > 0
    assert "in wait_on_loop\n" in stacks


def test_nothing_listens_without_the_option(control: Control) -> None:
    with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as folder:
        environment = {"XDG_RUNTIME_DIR": folder, "TMPDIR": folder}
        with running("uvicorn", TARGET, env=environment, cwd=ROOT) as server:
            assert unix_sockets(server.pid) == []
            assert os.listdir(folder) == []


def unix_sockets(pid: int) -> list[str]:
    """The paths of the Unix sockets at which a process listens."""
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    table = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    own = [row for row in table if f"socket:[{row[6]}]" in links]
    return [row[7] for row in own if len(row) > 7]


def _green(at: Any, target: str) -> list[str]:
    fixed = ["--workers", "1", "-k", "gevent", "--no-control-socket"]
    return ["gunicorn", target, "--bind", f"fd://{at.fd}", *fixed]


@pytest.mark.full
def test_a_greenlet_that_blocks_all_others_is_shown(control: Control, key: str) -> None:
    """The listener has a real thread there: it answers although no greenlet gets its turn."""
    with tempfile.TemporaryDirectory(prefix="br-", dir="/tmp") as folder:
        os.chmod(folder, 0o700)
        spec = ServerSpec("gunicorn-gevent", "wsgi", _green, inherits_socket=True)
        with serve(spec, "tests.control.green:app", env={"CONTROL": folder}) as server:
            site = Site(server, Path(folder))
            clients = [Http1Client(server.port) for _ in range(2)]
            with (
                closing(clients[0].open("GET", "/waits")),
                closing(clients[1].open("GET", "/spins")),
            ):
                while len(rows := site.rows()) < 2:
                    pass
                stacks = site.stacks().out
            server.kill()

    assert {(row["what"], row["thread"]) for row in rows} == {
        ("/waits", "a greenlet"),
        ("/spins", "a greenlet"),
    }
    assert "in wait_forever\n" in stacks
    assert "in spin\n" in stacks


# -- the command line ------------------------------------------------------------------------------


def test_a_folder_without_sockets_is_an_error_that_names_the_remedy(short_path: Path) -> None:
    for command in ("top", "stacks"):
        done = bridge(command, str(short_path))
        assert done.code == 1
        assert "no server listens in" in done.err
        assert "bridge run --control" in done.err


def test_an_app_is_not_taken_for_a_folder() -> None:
    done = bridge("run", "--control", "flask_site:app")

    assert done.code == 2
    assert "put --control behind the app" in done.err


def test_a_folder_that_others_can_enter_stops_bridge_run(short_path: Path) -> None:
    short_path.chmod(0o755)
    done = bridge("run", "flask_site:app", "--control", str(short_path))

    assert done.code == 1
    assert "other users can enter" in done.err


@pytest.mark.parametrize("value", ["0", "x", "nan"])
def test_an_interval_that_is_none_is_refused(value: str) -> None:
    done = bridge("top", "--interval-s", value)

    assert done.code == 2
    assert "expected a number of 0.1 or more" in done.err

"""Each option of `bridge run` works as documented, on every server that supports it."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from tests.cli.running import (
    ASGI_SERVERS,
    MULTI,
    SERVERS,
    TARGETS,
    WSGI_SERVERS,
    client_of,
    facts,
    fetch_unix,
    running,
    start,
)
from tests.harness.control import Control
from tests.harness.http import Aborted
from tests.harness.servers import Server

pytestmark = pytest.mark.usefixtures("control")

TIMEOUT_S = 30.0
RELOAD_TIMEOUT_S = 60.0
RESTART_S = 10.0


# -- address ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_uds_listens_on_a_unix_socket_and_removes_a_stale_one(server: str, tmp_path: Path) -> None:
    path = tmp_path / "site.sock"
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(str(path))
    process = start(TARGETS["flask"], "--server", server, "--uds", str(path))
    try:
        reported = json.loads(fetch_unix(path))
        assert reported["framework"] == "flask"
    finally:
        process.terminate()
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert f"bridge: URL: unix:{path}\n" in err


def test_port_0_chooses_a_free_port_and_shows_it() -> None:
    process = start(TARGETS["flask"], "--port", "0")
    assert process.stderr is not None
    try:
        url = next(line for line in process.stderr if line.startswith("bridge: URL: "))
        port = int(url.rstrip("/\n").rpartition(":")[2])
        assert port > 0
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize("path", ["/", "/shop/"])
@pytest.mark.parametrize("framework", TARGETS)
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "gunicorn"])
def test_root_path_is_where_the_app_is_mounted(server: str, framework: str, path: str) -> None:
    """The same whether the proxy in front strips the path or not."""
    with running(server, TARGETS[framework], "--root-path", "shop/") as site:
        reported = facts(site, path)
        assert reported["root_path"] == "/shop"
        assert reported["path"] == ("/shop/" if framework == "fastapi" else "/")
        assert reported["url"] == "http://site.example/shop/"
        assert f"bridge: URL: http://127.0.0.1:{site.port}/shop/\n" in site.log()


@pytest.mark.parametrize("server", ["granian", "daphne", "waitress"])
def test_root_path_means_the_same_on_the_other_servers(server: str) -> None:
    with running(server, TARGETS["flask"], "--root-path", "/shop") as site:
        assert facts(site)["url"] == facts(site, "/shop/")["url"] == "http://site.example/shop/"


# -- server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ASGI_SERVERS)
def test_threads_limits_the_requests_that_a_wsgi_app_runs_at_once(
    server: str, control: Control, key: str
) -> None:
    with running(server, TARGETS["flask"], "--threads", "2") as site:
        _assert_two_at_once(site, control, key)


@pytest.mark.parametrize("server", WSGI_SERVERS)
def test_threads_sets_the_threads_of_a_wsgi_server(server: str, control: Control, key: str) -> None:
    with running(server, TARGETS["flask"], "--threads", "2") as site:
        _assert_two_at_once(site, control, key)
        assert "bridge: threads: 2\n" in site.log()


def _assert_two_at_once(site: Server, control: Control, key: str) -> None:
    client = client_of(site)
    waiting = [client.open("GET", f"/gated/{key}") for _ in range(3)]
    control.expect_waiting(key, "go", 2)
    control.release(key, "go")
    control.expect_waiting(key, "go", 2)
    assert control.waiting(key, "go") == 2
    control.open(key, "go")
    for exchange in waiting:
        assert exchange.read().body == b"finished"
        exchange.close()


# daphne collects the whole body before it calls an app
@pytest.mark.parametrize("server", [name for name in ASGI_SERVERS if name != "daphne"])
@pytest.mark.parametrize(
    "target", [[TARGETS["flask"]], ["/=flask_site:app", "/f=fastapi_site:app"]]
)
def test_the_options_for_request_bodies_reach_the_adapter(
    server: str, target: list[str], control: Control, key: str
) -> None:
    options = ["--buffer-request-bytes", "2", "--body-timeout-s", "1"]
    with running(server, target[0], *target[1:], *options) as site:
        client = client_of(site)
        stalled = client.open("POST", f"/read/{key}", has_body=True)
        stalled.send(b"x")
        assert stalled.read().status == 408
        assert control.reports(key, "reading") == []

        upload = client.open("POST", f"/read/{key}", has_body=True)
        upload.send(b"xx")
        control.expect(key, "reading")
        assert upload.read().status == 408
        client.close()


@pytest.mark.parametrize(
    "target", [[TARGETS["flask"]], ["/=flask_site:app", "/f=fastapi_site:app"]]
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_limits_of_paths_reach_the_adapter(
    target: list[str], workers: str, control: Control, key: str
) -> None:
    """Also in workers, which get them through their environment: each runs one and keeps one."""
    limits = ["--limit", "/gated=1:1", "--reserve", "/facts", "--loop-lag-target-s", "1"]
    arguments = [*target[1:], "--threads", "2", *limits, "--workers", workers]
    most, count = 2 * int(workers), 2 * int(workers) + 6
    with running("uvicorn", target[0], *arguments) as site, ThreadPoolExecutor(count) as clients:
        client = client_of(site)
        held = [clients.submit(client.fetch, "GET", f"/gated/{key}") for _ in range(count)]
        refused = islice(as_completed(held, timeout=60), count - most)
        assert [each.result().status for each in refused] == [503] * (count - most)
        control.open(key, "go")
        client.close()


@pytest.mark.parametrize("server", MULTI)
def test_workers_are_processes(server: str, control: Control, key: str) -> None:
    with running(
        server,
        TARGETS["fastapi" if server != "gunicorn" else "flask"],
        "--workers",
        "2",
        env={"CALLS": key},
    ) as site:
        if server != "gunicorn":
            pids = {report["pid"] for report in control.expect(key, "startup", 2)}
            assert len(pids) == 2
            assert facts(site)["pid"] in pids
        assert facts(site)["pid"] != site.pid
        assert "bridge: processes: 2\n" in site.log()


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_one_process_is_the_default_whatever_the_environment_sets(server: str) -> None:
    with running(server, TARGETS["flask"], env={"WEB_CONCURRENCY": "2"}) as site:
        assert "bridge: processes: 1\n" in site.log()
        assert facts(site)["pid"] == site.pid, "one process serves, and starts no others"


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "gunicorn"])
def test_reload_restarts_when_a_file_changes(server: str, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    source = (
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
    )
    module.write_text(source.format("before"))
    with running(server, "changing.py", "--reload", "--grace-s", "1", cwd=tmp_path) as site:
        assert client_of(site).fetch("GET", "/").body == b"before"
        _change_until_served(site, module, source)


def test_reload_watches_the_folder_of_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    module = tmp_path / "elsewhere" / "changing.py"
    source = (
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{}']\n"
    )
    module.write_text(source.format("before"))
    with running("uvicorn", str(module), "--reload", cwd=tmp_path / "here") as site:
        assert client_of(site).fetch("GET", "/").body == b"before"
        _change_until_served(site, module, source)


def _change_until_served(site: Server, module: Path, source: str) -> None:
    """Change the file more than once: a reloader misses a change made before it started to watch.

    Each change restarts the server, so the next one waits for longer than that takes.
    """
    deadline = time.monotonic() + RELOAD_TIMEOUT_S
    module.write_text(source.format("afterwards"))
    for later in itertools.count(time.time() + 5, 5):
        assert time.monotonic() < deadline, f"it did not reload:\n{site.log()}"
        os.utime(module, (later, later))
        if _serves_within(RESTART_S, site, b"afterwards"):
            return


def _serves_within(seconds: float, site: Server, body: bytes) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if client_of(site).fetch("GET", "/").body == body:
                return True
        except (OSError, EOFError, Aborted, AssertionError):  # it is restarting
            pass
        time.sleep(0.05)  # polling, with a deadline: no event reports that the server is back
    return False


@pytest.mark.parametrize("server", SERVERS)
def test_log_level_warning_silences_requests(server: str) -> None:
    with running(server, TARGETS["flask"], "--log-level", "warning") as site:
        facts(site)
        log = site.log()
    lines = [line for line in log.splitlines() if not line.startswith("bridge: ")]
    assert lines == []


@pytest.mark.parametrize("server", ["uvicorn", "granian", "hypercorn", "daphne", "gunicorn"])
def test_requests_are_logged_at_level_info(server: str) -> None:
    with running(server, TARGETS["flask"]) as site:
        facts(site)
        site.wait_for_log("GET /")


# -- app -------------------------------------------------------------------------------------------

UNDETECTABLE = """
def app(*args):
    if len(args) == 2:
        args[1]("200 OK", [])
        return [b"called as WSGI"]
    return asgi(*args)


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"called as ASGI"})
"""


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize("server", ["uvicorn", "daphne", "gunicorn"])
def test_interface_names_what_cannot_be_detected(
    server: str, interface: str, tmp_path: Path
) -> None:
    (tmp_path / "undetectable.py").write_text(UNDETECTABLE)
    with running(server, "undetectable.py", "--interface", interface, cwd=tmp_path) as site:
        assert client_of(site).fetch("GET", "/").body == f"called as {interface.upper()}".encode()
        assert f"bridge: interface: {interface.upper()} (from --interface)\n" in site.log()

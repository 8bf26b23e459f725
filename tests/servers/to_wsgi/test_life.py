"""An app's life inside gunicorn's processes (P12, P13): forks, restarts, shutdowns, failures."""

from __future__ import annotations

import os
import signal
import time
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.harness.control import Control
from tests.harness.http import Aborted, Http1Client
from tests.harness.servers import Server, ServerFailed, serve
from tests.harness.wsgi_servers import PRELOAD_WORKERS, WSGI
from tests.servers.to_wsgi.conftest import TARGET, options

HOOKS = ("--config", "python:bridge.contrib.gunicorn")
GUNICORNS = ["gunicorn-sync", "gunicorn-gthread", "gunicorn-preload"]
BOOT_ERROR = 3


def gunicorn(
    name: str,
    key: str,
    *args: str,
    target: str = TARGET,
    ready_path: str | None = "/",
    **values: float,
) -> AbstractContextManager[Server]:
    """A gunicorn of this test's own, whose app reports its lifespan under ``key``.

    :param values: options of ``to_wsgi``.
    """
    env = {"BRIDGE_TEST_LIFESPAN": key, **options(**values)}
    return serve(WSGI[name].spec, target, env=env, args=args, ready_path=ready_path)


def pids(control: Control, key: str, phase: str, count: int) -> list[int]:
    return [report["pid"] for report in control.expect(key, phase, count)]


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
@pytest.mark.parametrize("name", GUNICORNS)
def test_startup_and_shutdown_run_once_in_each_worker(
    control: Control, key: str, name: str, hooks: tuple[str, ...]
) -> None:
    with gunicorn(name, key, *hooks) as server:
        workers = PRELOAD_WORKERS if name == "gunicorn-preload" and hooks else 1
        started = pids(control, key, "startup", workers)
        client = Http1Client(server.port)
        assert {client.fetch("GET", "/process").status for _ in range(8)} == {200}
        started = pids(control, key, "startup", workers)
        ended = server.terminate()

    assert ended.exit_code == 0
    stopped = pids(control, key, "shutdown", len(started))
    assert sorted(set(stopped)) == sorted(set(started))
    assert len(set(started)) == len(control.reports(key, "startup")), "once in each process"
    assert server.pid not in started, "never in the master"


def test_with_the_hooks_an_app_has_started_before_its_first_request(
    control: Control, key: str
) -> None:
    with gunicorn("gunicorn-gthread", key, *HOOKS, ready_path=None):
        control.expect(key, "startup")


def test_a_preloaded_app_serves_in_every_worker(control: Control, key: str) -> None:
    """P12: a2wsgi's loop thread stays in the master, and no request is ever answered."""
    with gunicorn("gunicorn-preload", key) as server:
        client = Http1Client(server.port)
        deadline = time.monotonic() + 15
        served_by: set[int] = set()
        while len(served_by) < PRELOAD_WORKERS and time.monotonic() < deadline:
            served_by.add(client.fetch("GET", "/process").json()["pid"])

    assert len(served_by) == PRELOAD_WORKERS
    assert server.pid not in served_by
    assert served_by == set(pids(control, key, "startup", PRELOAD_WORKERS))


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
def test_max_requests_replaces_workers_without_losing_a_request(
    control: Control, key: str, hooks: tuple[str, ...]
) -> None:
    with gunicorn("gunicorn-gthread", key, "--max-requests", "5", *hooks) as server:
        client = Http1Client(server.port)
        statuses = [client.fetch("GET", "/").status for _ in range(30)]

    assert statuses == [200] * 30
    started = control.reports(key, "startup")
    assert len(started) >= 5
    control.expect(key, "shutdown", count=len(started))


def test_hup_replaces_workers_gracefully(control: Control, key: str) -> None:
    with gunicorn("gunicorn-gthread", key) as server:
        client = Http1Client(server.port)
        running = client.open("GET", f"/hold?key={key}")
        control.expect_waiting(key, "hold")
        server.signal(signal.SIGHUP)
        until_served_by_another(client, running_pid=pids(control, key, "startup", 1)[0])
        control.release(key, "hold")
        assert running.read().status == 200, "the old worker finishes what it has begun"
        client.close()

    started = pids(control, key, "startup", 2)
    assert sorted(pids(control, key, "shutdown", 2)) == sorted(started)


def until_served_by_another(client: Http1Client, running_pid: int) -> None:
    deadline = time.monotonic() + 15
    while client.fetch("GET", "/process").json()["pid"] == running_pid:
        assert time.monotonic() < deadline, "the worker was not replaced"
        time.sleep(0.02)  # polling, with a deadline: gunicorn tells nobody


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_term_lets_requests_and_background_work_end(
    control: Control, key: str, name: str, hooks: tuple[str, ...]
) -> None:
    with gunicorn(name, key, "--graceful-timeout", "15", *hooks) as server:
        client = Http1Client(server.port)
        assert client.fetch("POST", f"/background?key={key}", body=b"").status == 202
        control.expect_waiting(key, "work")
        running = client.open("GET", f"/hold?key={key}")
        control.expect_waiting(key, "hold")
        server.signal(signal.SIGTERM)
        control.open(key, "hold")
        assert running.read().status == 200
        assert control.reports(key, "shutdown") == [], "the app lives until its work is done"
        control.open(key, "work")
        assert server.terminate().exit_code == 0
        client.close()

    control.expect(key, "worked")
    (shutdown,) = control.expect(key, "shutdown")
    assert shutdown["at"] >= control.reports(key, "worked")[0]["at"]


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
@pytest.mark.parametrize(
    ("grace_s", "values"),
    [("20", {"shutdown_timeout_s": 0.5}), ("8", {})],
    ids=["shutdown_timeout_s", "graceful_timeout"],
)
def test_with_the_hooks_an_endless_stream_does_not_cost_the_shutdown(
    control: Control, key: str, name: str, grace_s: str, values: dict[str, Any]
) -> None:
    """gunicorn kills a worker with a request that goes on after the graceful timeout."""
    with gunicorn(name, key, *HOOKS, "--graceful-timeout", grace_s, **values) as server:
        client = Http1Client(server.port)
        stream = client.open("GET", f"/endless?key={key}")
        control.expect(key, "started")
        server.signal(signal.SIGTERM)
        with pytest.raises(Aborted):
            stream.read()
        assert server.terminate().exit_code == 0
        client.close()

    assert len(control.reports(key, "closed")) == 1
    assert len(control.reports(key, "shutdown")) == 1


# -- startups that go wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["failing", "hanging"])
def test_with_the_hooks_a_failed_startup_stops_the_boot_with_its_reason(
    control: Control, key: str, factory: str
) -> None:
    target = f"tests.apps.asgi_targets:{factory}()"
    with (
        pytest.raises(ServerFailed) as caught,
        gunicorn("gunicorn-gthread", key, *HOOKS, target=target),
    ):
        pass

    said = str(caught.value)
    assert f"exited with {BOOT_ERROR}" in said
    reason = {"failing": "no database", "hanging": "longer than startup_timeout_s=0.2"}[factory]
    assert f"LifespanFailed: startup of tests.apps.asgi_targets.asgi_{factory}" in said
    assert reason in said


def test_without_them_a_failed_startup_is_an_error_of_each_request(
    control: Control, key: str
) -> None:
    target = "tests.apps.asgi_targets:failing()"
    with gunicorn("gunicorn-gthread", key, target=target) as server:
        mark = server.log_size()
        assert Http1Client(server.port).fetch("GET", "/").status == 500
        log = server.log(mark)

    assert log.count("LifespanFailed: startup of") == 1
    assert "no database" in log


def test_a_worker_that_is_killed_takes_nothing_along(control: Control, key: str) -> None:
    with gunicorn("gunicorn-gthread", key) as server:
        client = Http1Client(server.port)
        first = client.fetch("GET", "/process").json()["pid"]
        os.kill(first, signal.SIGKILL)
        until_answered(server)
        assert client.fetch("GET", "/process").json()["pid"] != first


def until_answered(server: Server) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            assert Http1Client(server.port, timeout_s=5).fetch("GET", "/").status == 200
        except (Aborted, OSError):
            assert time.monotonic() < deadline
        else:
            return

"""Lifespans in gunicorn's worker processes (P12, P13): forks, restarts, shutdowns, failures."""

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
    """Start gunicorn with an app that reports its lifespan under ``key``.

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
    workers = PRELOAD_WORKERS if name == "gunicorn-preload" else 1
    with gunicorn(name, key, *hooks) as server:
        served_by = serve_with_each_worker(server, workers)
        result = server.terminate()

    assert result.exit_code == 0
    assert server.pid not in served_by, "the master must not serve"
    for phase in ("startup", "shutdown"):
        assert sorted(pids(control, key, phase, workers)) == sorted(served_by), phase


def serve_with_each_worker(server: Server, workers: int) -> set[int]:
    """Send requests until each worker has served one.

    Then all have started. gunicorn loses a SIGTERM that reaches a worker between its fork and its
    first lines: the signal is put into the worker's copy of the master's queue.
    """
    client = Http1Client(server.port)
    deadline = time.monotonic() + 30
    served_by: set[int] = set()
    while len(served_by) < workers:
        assert time.monotonic() < deadline, f"only {served_by} of {workers} workers serve"
        served_by.add(client.fetch("GET", "/process").json()["pid"])
    return served_by


def test_with_the_hooks_an_app_starts_before_its_first_request(control: Control, key: str) -> None:
    with gunicorn("gunicorn-gthread", key, *HOOKS, ready_path=None):
        control.expect(key, "startup")


def test_a_preloaded_app_serves_in_every_worker(control: Control, key: str) -> None:
    """P12: the loop thread of a2wsgi stays in the master, and requests get no response."""
    with gunicorn("gunicorn-preload", key) as server:
        served_by = serve_with_each_worker(server, PRELOAD_WORKERS)

    assert server.pid not in served_by
    assert served_by == set(pids(control, key, "startup", PRELOAD_WORKERS))


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
def test_max_requests_replaces_workers_and_loses_no_request(
    control: Control, key: str, hooks: tuple[str, ...]
) -> None:
    with gunicorn("gunicorn-gthread", key, "--max-requests", "5", *hooks) as server:
        client = Http1Client(server.port)
        statuses = [client.fetch("GET", "/").status for _ in range(30)]

    assert statuses == [200] * 30
    started = control.reports(key, "startup")
    assert len(started) >= 5
    control.expect(key, "shutdown", count=len(started))


def test_sighup_replaces_workers_gracefully(control: Control, key: str) -> None:
    with gunicorn("gunicorn-gthread", key) as server:
        client = Http1Client(server.port)
        running = client.open("GET", f"/hold?key={key}")
        control.expect_waiting(key, "hold")
        server.signal(signal.SIGHUP)
        wait_for_another_worker(client, running_pid=pids(control, key, "startup", 1)[0])
        control.release(key, "hold")
        assert running.read().status == 200, "the old worker must finish its request"
        client.close()

    started = pids(control, key, "startup", 2)
    assert sorted(pids(control, key, "shutdown", 2)) == sorted(started)


def wait_for_another_worker(client: Http1Client, running_pid: int) -> None:
    deadline = time.monotonic() + 15
    while client.fetch("GET", "/process").json()["pid"] == running_pid:
        assert time.monotonic() < deadline, "the worker was not replaced"
        time.sleep(0.02)  # poll with a deadline: gunicorn sends no event


@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_sigterm_waits_for_requests_and_background_work(
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
        assert control.reports(key, "shutdown") == [], "the shutdown must wait for background work"
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
def test_with_the_hooks_an_endless_stream_does_not_prevent_the_shutdown(
    control: Control, key: str, name: str, grace_s: str, values: dict[str, Any]
) -> None:
    """gunicorn kills a worker whose request still runs after the graceful timeout."""
    with gunicorn(name, key, *HOOKS, "--graceful-timeout", grace_s, **values) as server:
        client = Http1Client(server.port)
        stream = client.open("GET", f"/endless?key={key}")
        control.expect(key, "started")
        server.signal(signal.SIGTERM)
        with pytest.raises(Aborted):
            stream.read()
        assert server.terminate().exit_code == 0
        log = server.log()
        client.close()

    assert len(control.reports(key, "closed")) == 1
    assert len(control.reports(key, "shutdown")) == 1
    assert "Traceback" not in log
    assert log.count("cancelled 1 task(s)") == 1


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["failing", "hanging"])
def test_with_the_hooks_a_failed_startup_stops_gunicorn_with_the_reason(
    control: Control, key: str, factory: str
) -> None:
    target = f"tests.apps.asgi_targets:{factory}()"
    with (
        pytest.raises(ServerFailed) as caught,
        gunicorn("gunicorn-gthread", key, *HOOKS, target=target),
    ):
        pass

    message = str(caught.value)
    assert f"exited with {BOOT_ERROR}" in message
    reason = {"failing": "no database", "hanging": "longer than startup_timeout_s=0.2"}[factory]
    assert f"LifespanFailed: startup of tests.apps.asgi_targets.asgi_{factory}" in message
    assert reason in message


def test_without_the_hooks_a_failed_startup_is_an_error_of_each_request(
    control: Control, key: str
) -> None:
    target = "tests.apps.asgi_targets:failing()"
    with gunicorn("gunicorn-gthread", key, target=target) as server:
        start = server.log_size()
        assert Http1Client(server.port).fetch("GET", "/").status == 500
        log = server.log(start)

    assert log.count("LifespanFailed: startup of") == 1
    assert "no database" in log


def test_a_killed_worker_is_replaced(control: Control, key: str) -> None:
    with gunicorn("gunicorn-gthread", key) as server:
        client = Http1Client(server.port)
        first = client.fetch("GET", "/process").json()["pid"]
        os.kill(first, signal.SIGKILL)
        wait_for_response(server)
        assert client.fetch("GET", "/process").json()["pid"] != first


def wait_for_response(server: Server) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            assert Http1Client(server.port, timeout_s=5).fetch("GET", "/").status == 200
        except (Aborted, OSError):
            assert time.monotonic() < deadline
        else:
            return


@pytest.mark.parametrize("attribute", ["app", "router"])
@pytest.mark.parametrize("hooks", [(), HOOKS], ids=["plain", "hooks"])
def test_a_task_factory_that_raises_does_not_prevent_the_shutdown(
    hooks: tuple[str, ...], attribute: str
) -> None:
    target = f"tests.apps.asgi_task_factory:{attribute}"
    with serve(WSGI["gunicorn-gthread"].spec, target, args=hooks) as server:
        assert Http1Client(server.port).fetch("GET", "/").body == b"fine"
        result = server.terminate()
        log = server.log()

    assert result.exit_code == 0
    assert log.count("lifespan: down") == 1
    assert "TypeError" not in log

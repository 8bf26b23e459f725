"""SIGTERM and Ctrl-C: open requests finish, endless ones are cut off, no process is left."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.running import (
    MULTI,
    SERVERS,
    TARGETS,
    client_of,
    facts,
    left_behind,
    running,
    send_stop,
    start,
    stop,
    wait_for_shutdown,
)
from tests.harness.control import Control
from tests.harness.http import Aborted
from tests.harness.servers import ROOT, Server

pytestmark = pytest.mark.usefixtures("control")

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(("framework", "number"), [("flask", INT), ("fastapi", TERM)])
@pytest.mark.parametrize("server", SERVERS)
def test_an_open_request_finishes_before_the_exit(
    server: str, framework: str, number: signal.Signals, control: Control, key: str
) -> None:
    with running(server, TARGETS[framework]) as site:
        _assert_finishes(site, number, control, key)


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("server", MULTI)
def test_an_open_request_finishes_on_one_of_two_workers(
    server: str, number: signal.Signals, control: Control, key: str
) -> None:
    with running(server, TARGETS["flask"], "--workers", "2") as site:
        _assert_finishes(site, number, control, key)


def _assert_finishes(site: Server, number: signal.Signals, control: Control, key: str) -> None:
    with closing(client_of(site).open("GET", f"/gated/{key}")) as exchange:
        control.expect_waiting(key, "go")
        send_stop(site, number)
        wait_for_shutdown(site)
        control.open(key, "go")
        response = exchange.read()
    assert (response.status, response.body) == (200, b"finished")
    assert site.process.wait(30) == 0
    assert left_behind(site) == []


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
@pytest.mark.parametrize("server", SERVERS)
def test_an_endless_stream_is_cut_off_after_the_grace(
    server: str, framework: str, control: Control, key: str
) -> None:
    with running(server, TARGETS[framework], "--grace-s", "1") as site:
        _assert_cut_off(site, key)
        if server != "gunicorn":  # it exits without stopping its threads
            control.expect(key, "closed")


@pytest.mark.parametrize("server", MULTI)
def test_an_endless_stream_on_two_workers_is_cut_off_after_the_grace(server: str, key: str) -> None:
    with running(server, TARGETS["flask"], "--grace-s", "1", "--workers", "2") as site:
        _assert_cut_off(site, key)


def _assert_cut_off(site: Server, key: str) -> None:
    with closing(client_of(site).open("GET", f"/endless/{key}")) as exchange:
        assert exchange.chunk().startswith(b"tick")
        assert stop(site, TERM) == 0
        assert left_behind(site) == []
        with pytest.raises(Aborted):
            exchange.read()


@pytest.mark.parametrize(
    ("server", "framework"),
    [
        ("uvicorn", "flask"),
        ("uvicorn", "fastapi"),
        ("granian", "flask"),
        ("hypercorn", "fastapi"),
        ("daphne", "fastapi"),
        ("gunicorn", "flask"),
        ("gunicorn", "fastapi"),
        ("waitress", "fastapi"),
    ],
)
def test_a_thread_that_never_returns_does_not_prevent_the_exit(
    server: str, framework: str, control: Control, key: str
) -> None:
    with running(server, TARGETS[framework], "--grace-s", "1") as site:
        with closing(client_of(site).open("GET", f"/hang/{key}")):
            control.expect(key, "hanging")
            assert stop(site, TERM) == 0
        assert left_behind(site) == []


@pytest.mark.parametrize("server", MULTI)
@pytest.mark.parametrize("number", [INT, TERM])
def test_no_worker_is_left_behind(server: str, number: signal.Signals) -> None:
    with running(server, TARGETS["flask"], "--workers", "2") as site:
        assert len({facts(site)["pid"] for _ in range(3)} | {site.pid}) > 1
        assert stop(site, number) == 0
        assert left_behind(site) == []


def test_a_worker_of_gunicorn_that_has_just_been_forked_ends(
    control: Control, key: str, tmp_path: Path
) -> None:
    """Its handlers are still those of the master, which lose a SIGTERM: it would go on serving."""
    (tmp_path / "sitecustomize.py").write_text(
        f"""
import gunicorn.util
from tests.harness.control import gate

def name_process(title):  # gunicorn calls it in the new worker, before it sets signal handlers
    if title.startswith("worker"):
        gate({key!r}, "fork")

gunicorn.util._setproctitle = name_process
"""
    )
    control.release(key, "fork")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    args = ("--workers", "2", "--grace-s", "120")  # longer than stop() waits
    with running("gunicorn", TARGETS["flask"], *args, env=env) as site:
        control.expect_waiting(key, "fork")
        assert stop(site, TERM) == 0
        assert left_behind(site) == []


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_during_the_import_of_the_app_exits_with_0(
    number: signal.Signals, tmp_path: Path, control: Control, key: str
) -> None:
    (tmp_path / "slow.py").write_text(
        f"from tests.harness.control import gate\ngate({key!r}, 'import')\n"
    )
    process = start("slow.py", cwd=tmp_path)
    control.expect_waiting(key, "import")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_second_ctrl_c_makes_gunicorn_drop_open_requests(control: Control, key: str) -> None:
    """The first one is graceful, as on all servers; by default gunicorn's first drops them."""
    with running("gunicorn", TARGETS["flask"], "--grace-s", "60") as site:
        with closing(client_of(site).open("GET", f"/gated/{key}")):
            control.expect_waiting(key, "go")
            send_stop(site, INT)
            wait_for_shutdown(site)
            assert stop(site, INT) == 0
        assert left_behind(site) == []

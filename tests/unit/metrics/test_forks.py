"""Which processes of a server count as workers, where it forks them or they fork others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.scrapes import Scrape
from tests.harness.servers import ROOT

START = """
import os
from prometheus_client import REGISTRY
from bridge.metrics import measure
from bridge.metrics.exposition import Exposition
from bridge.metrics.process_metrics import process_metrics
import bridge
from tests.harness.wsgi import call, environ_of

metrics = process_metrics()
lasts, ends = os.pipe()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

adapter = bridge.to_asgi(app)  # its pool is there before the fork

def serve():
    call(measure(app), environ_of())

def fork(then=lambda: None):
    "A child that has written its numbers, and lives on."
    here, there = os.pipe()
    if not os.fork():
        os.close(ends)
        then()
        metrics.measuring.tick()
        os.write(there, b"x")
        os.read(lasts, 1)  # until the parent ends
        os._exit(0)
    os.close(there)
    os.read(here, 1)

def show():
    print(Exposition(metrics, REGISTRY).text("")[1].decode())
"""


def _scrape(folder: Path, *lines: str) -> Scrape:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([START, *lines, "show()"])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)},
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Scrape(done.stdout)


def test_a_process_that_forks_the_workers_is_none(tmp_path: Path) -> None:
    alone = _scrape(tmp_path)("bridge_pool_threads_most", pool="bridge-worker")
    found = _scrape(tmp_path, "fork()", "fork(then=serve)")

    assert found("bridge_processes") == 2
    assert found("bridge_pool_threads_most", pool="bridge-worker") == 2 * alone > 0
    assert found("bridge_requests_total", status="200") == 1


@pytest.mark.parametrize("is_noticed", ["", "metrics.measuring.tick()"])
def test_a_process_that_a_worker_forks_is_none(is_noticed: str, tmp_path: Path) -> None:
    assert _scrape(tmp_path, "serve()", is_noticed, "fork()")("bridge_processes") == 1


def test_whatever_serves_is_a_worker(tmp_path: Path) -> None:
    found = _scrape(tmp_path, "serve()", "fork(then=serve)")

    assert found("bridge_processes") == 2
    assert found("bridge_requests_total", status="200") == 2


def test_a_process_that_serves_after_it_has_forked_is_a_worker(tmp_path: Path) -> None:
    assert _scrape(tmp_path, "fork()", "serve()")("bridge_processes") == 2

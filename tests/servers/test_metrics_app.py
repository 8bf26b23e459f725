"""`metrics_app` in a user's own app, on servers of both interfaces, and a real Prometheus."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.http import Http1Client
from tests.harness.ports import HOST, held_port, port_of
from tests.harness.scrapes import Scrape, scrape, scrape_until
from tests.harness.servers import Server, serve
from tests.harness.tools import find_program

SITE = "tests.apps.metrics_site:app"
TIMEOUT_S = 60.0


def url_of(site: Server) -> str:
    return f"{site.url}/metrics"


@pytest.mark.parametrize("server", ["uvicorn-httptools", "gunicorn-gthread"])
def test_metrics_are_an_app_of_both_interfaces(server: str) -> None:
    with serve(server, SITE) as site:
        client = Http1Client(site.port)
        assert client.fetch("GET", "/").status == 200
        # Two pages: the first by the harness. gunicorn's threads end them after the response.
        found = scrape_until(
            url_of(site), lambda found: found("bridge_requests_total", status="200") >= 2
        )
        head = client.fetch("HEAD", "/metrics")
        refused = client.fetch("POST", "/metrics", body=b"x")
        openmetrics = client.fetch("GET", "/metrics", [("accept", "application/openmetrics-text")])

    assert found("bridge_requests_total", status="200") == 2
    assert found("visits_total") == 2  # the app's own counter
    assert (head.status, head.body) == (200, b"")
    assert refused.status == 405
    assert openmetrics.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("server", ["gunicorn-gthread", "uvicorn-httptools"])
def test_workers_share_a_folder_that_the_environment_names(server: str, tmp_path: Path) -> None:
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with serve(server, SITE, env=env, args=["--workers", "2"]) as site:
        scrape_until(url_of(site), lambda now: now("bridge_processes") == 2)
        client = Http1Client(site.port)
        for _ in range(10):
            assert client.fetch("GET", "/").status == 200
        found = scrape_until(
            url_of(site), lambda now: now("bridge_requests_total", status="200") == 11
        )

    assert found("visits_total") == 11


# -- a real Prometheus -----------------------------------------------------------------------------


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[str]:
    """Prometheus, scraping ``target`` every half second; its URL."""
    config = folder / "prometheus.yml"
    jobs = [{"job_name": "site", "static_configs": [{"targets": [target]}]}]
    config.write_text(
        json.dumps({"global": {"scrape_interval": "500ms"}, "scrape_configs": jobs}), "utf-8"
    )
    with held_port() as holder:
        port = port_of(holder)
    program = find_program("prometheus", package="prometheus")
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    options += [f"--web.listen-address={HOST}:{port}", "--log.level=error"]
    process = subprocess.Popen([program, *options])
    try:
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def query(url: str, expression: str) -> float | None:
    parameters = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{parameters}", timeout=10) as response:
            result = json.load(response)["data"]["result"]
    except OSError:  # it starts
        return None
    return float(result[0]["value"][1]) if result else None


@pytest.mark.full
def test_prometheus_scrapes_under_load(tmp_path: Path) -> None:
    with serve("uvicorn-httptools", SITE) as site:
        stop = threading.Event()

        def load() -> None:
            client = Http1Client(site.port)
            while not stop.is_set():
                client.fetch("GET", "/work")

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        with prometheus(f"{HOST}:{site.port}", tmp_path) as url:
            deadline = time.monotonic() + TIMEOUT_S
            while (query(url, "count_over_time(up[1m])") or 0) < 8:
                assert time.monotonic() < deadline, "Prometheus does not scrape"
                time.sleep(0.1)
            stop.set()
            for thread in threads:
                thread.join()
            scrapes = query(url, "count_over_time(up[1m])")
            answered = query(url, "sum_over_time(up[1m])")
            counted = query(url, 'bridge_requests_total{status="200"}')
            p99 = query(url, "histogram_quantile(0.99, bridge_request_thread_seconds_bucket)")

    assert answered == scrapes
    assert counted is not None
    assert counted > 8
    assert p99 is not None
    assert 0.001 <= p99 < 60


def test_promtool_finds_nothing_wrong_with_the_metrics() -> None:
    promtool = find_program("promtool", package="prometheus")
    with serve("uvicorn-httptools", SITE) as site:
        text = scrape(url_of(site)).text
    lines = [line for line in text.splitlines() if "bridge_" in line]

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert Scrape(text).names

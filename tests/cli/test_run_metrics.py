"""`bridge run --metrics`, on every server: what a scrape shows, and what it needs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bridge.metrics.listener import MOST_CLIENTS
from tests.cli.running import ASGI_SERVERS, MULTI, SERVERS, bridge, client_of, running, stop
from tests.harness.control import Control
from tests.harness.ports import HOST, held_port, port_of
from tests.harness.scrapes import Scrape, metrics_url, scrape, scrape_until
from tests.harness.servers import Server

POOL = "bridge-worker"


@contextmanager
def metrics_site(server: str, *args: str) -> Iterator[tuple[Server, str]]:
    """The site, and the URL of its metrics."""
    with running(server, "metrics_site:app", "--metrics", "0", *args) as site:
        yield site, metrics_url(site)


@contextmanager
def fetching(site: Server, *paths: str) -> Iterator[None]:
    """Fetch paths, each on a thread, which has ended after the block."""
    threads = [threading.Thread(target=client_of(site).fetch, args=("GET", path)) for path in paths]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("server", SERVERS)
def test_a_scrape_shows_requests_threads_and_waits(server: str, control: Control, key: str) -> None:
    with metrics_site(server) as (site, url):
        before = scrape_until(url, lambda now: now("bridge_requests_in_progress") == 0)
        client = client_of(site)
        assert client.fetch("POST", f"/read/{key}", body=b"12345").status == 200
        assert client.fetch("GET", "/missing").status == 404
        with fetching(site, f"/gated/{key}", f"/gated/{key}"):
            control.expect_waiting(key, "go", 2)
            held = scrape(url)
            control.open(key, "go")
        after = scrape_until(url, lambda now: now("bridge_requests_in_progress") == 0)

    def grown(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert held("bridge_requests_in_progress") == 2
    assert grown("bridge_requests_total", status="200") == 3
    assert grown("bridge_requests_total", status="404") == 1
    assert grown("bridge_request_seconds_count") == 4
    assert grown("bridge_request_thread_seconds_count") == 4
    assert grown("bridge_request_wire_seconds_count") == 4
    assert grown("bridge_received_bytes_total", kind="http") == 5
    assert grown("bridge_sent_bytes_total", kind="http") > 2 * len("finished")
    assert after("bridge_processes") == 1
    if server in ASGI_SERVERS:
        assert held("bridge_pool_threads_busy", pool=POOL) == 2
        assert held("bridge_pool_threads_most", pool=POOL) == 4
        assert held("bridge_pool_backlog_most", pool=POOL) == 8
        assert grown("bridge_pool_queue_seconds_count", pool=POOL) == 4
        assert grown("bridge_pool_thread_seconds_count", pool=POOL) == 4
        assert grown("bridge_request_queue_seconds_count") == 4
        assert (
            grown("bridge_hand_overs_total", to="thread") >= 3
        )  # the two at the gate may share one
        assert grown("bridge_hand_overs_total", to="loop") >= 3


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "granian"])
def test_websockets_and_loops_are_shown(server: str) -> None:
    with metrics_site(server) as (site, url):
        with connect(f"ws://{HOST}:{site.port}/ws", proxy=None) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
            is_open = scrape_until(url, lambda now: now("bridge_loop_lag_seconds_count") > 0)
        after = scrape_until(url, lambda now: now("bridge_websockets_open") == 0)

    assert is_open("bridge_websockets_open") == 1
    assert is_open("bridge_loops") == 1
    assert is_open("bridge_tasks") >= 1
    assert after("bridge_websockets_total", status="101") == 1
    assert after("bridge_received_bytes_total", kind="websocket") == 5
    assert after("bridge_sent_bytes_total", kind="websocket") == 5


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_sync_helpers_and_background_tasks_are_shown(
    server: str, control: Control, key: str
) -> None:
    with metrics_site(server) as (site, url):
        with fetching(site, f"/async/export/{key}", f"/async/export/{key}"):
            control.expect_waiting(key, "go")
            exporting = scrape_until(
                url, lambda now: now("bridge_limit_waiting", limit="exports") == 1
            )
            control.open(key, "go")
        later = f"{key}-later"
        assert client_of(site).fetch("GET", f"/async/later/{later}").body == b"done"
        control.expect_waiting(later, "go")
        expected = server == "gunicorn"
        in_background = scrape_until(url, lambda now: now("bridge_background_tasks") == expected)
        control.open(later, "go")

    assert exporting("bridge_limit_running", limit="exports") == 1
    assert exporting("bridge_limit_most", limit="exports") == 1
    assert exporting("bridge_pool_threads_busy", pool="bridge-sync") == 1
    assert in_background("bridge_pool_thread_seconds_count", pool="exports") == 2


def test_a_scrape_is_answered_while_the_event_loop_is_blocked(control: Control, key: str) -> None:
    with (
        metrics_site("uvicorn") as (site, url),
        fetching(site, f"/async/block/{key}"),
    ):
        control.expect_waiting(key, "go")
        blocked = scrape_until(url, lambda now: now("bridge_loop_late_seconds") > 0.5)
        control.open(key, "go")
        after = scrape_until(url, lambda now: now("bridge_loop_late_seconds") < 0.5)

    assert blocked("bridge_requests_in_progress") == 1
    assert after("bridge_loop_lag_seconds_sum") > 0.5


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_disconnects_and_errors_are_counted(server: str, control: Control, key: str) -> None:
    with metrics_site(server) as (site, url):
        exchange = client_of(site).open("GET", f"/endless/{key}")
        exchange.chunk()
        exchange.disconnect()
        control.expect(key, "closed")
        assert client_of(site).fetch("GET", "/async/export").status == 500  # there is no key
        after = scrape_until(url, lambda now: now("bridge_disconnects_total", kind="http") == 1)

    assert after("bridge_errors_total", error="IndexError") == 1
    assert after("bridge_requests_total", status="500") == 1


def test_requests_that_are_refused_are_counted(control: Control, key: str) -> None:
    with metrics_site("uvicorn") as (site, url), fetching(site, *[f"/gated/{key}"] * 12):
        full = scrape_until(url, lambda now: now("bridge_pool_backlog", pool=POOL) == 8)
        assert client_of(site).fetch("GET", "/").status == 503
        after = scrape(url)
        control.open(key, "go")

    assert full("bridge_pool_threads_busy", pool=POOL) == 4
    assert after("bridge_pool_refused_total", pool=POOL) == 1
    assert after("bridge_requests_total", status="503") == 1


# -- several workers -------------------------------------------------------------------------------


@pytest.mark.parametrize("server", MULTI)
def test_every_scrape_shows_all_workers(server: str, control: Control, key: str) -> None:
    with metrics_site(server, "--workers", "2") as (site, url):
        scrape_until(url, lambda now: now("bridge_processes") == 2)
        folder = shared_folder(site)
        assert folder.stat().st_mode & 0o777 == 0o700
        paths = [f"/gated/{key}"] * 4
        with fetching(site, *paths):
            control.expect_waiting(key, "go", 4)
            scrape_until(url, lambda now: now("bridge_requests_in_progress") == 4)
            control.open(key, "go")
        after = scrape_until(url, lambda now: now("bridge_requests_in_progress") == 0)
        counts = [requests_of(scrape(url)) for _ in range(8)]  # the system chooses the worker
        assert stop(site, signal.SIGTERM) == 0

    assert requests_of(after) == 5  # the first by the harness
    assert counts == [requests_of(after)] * 8
    assert not folder.exists()


def requests_of(found: Scrape) -> float:
    return found("bridge_request_seconds_count")


def shared_folder(site: Server) -> Path:
    environment = Path(f"/proc/{site.pid}/environ").read_bytes().split(b"\0")
    [value] = [each for each in environment if each.startswith(b"PROMETHEUS_MULTIPROC_DIR=")]
    return Path(os.fsdecode(value.partition(b"=")[2]))


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_a_killed_worker_leaves_its_counts_and_no_gauges(
    server: str, control: Control, key: str
) -> None:
    with metrics_site(server, "--workers", "2") as (site, url):
        scrape_until(url, lambda now: now("bridge_processes") == 2)
        first = set(site.serving_pids())
        with fetching(site, *[f"/gated/{key}"] * 4):
            control.expect_waiting(key, "go", 4)
            control.open(key, "go")
        counted = scrape_until(url, lambda now: requests_of(now) == 5)  # the first by the harness
        os.kill(first.pop(), signal.SIGKILL)
        scrape_until(url, lambda now: len(set(site.serving_pids()) - first) == 1)
        after = scrape_until(url, lambda now: now("bridge_processes") == 2)
        files = [path.name for path in shared_folder(site).glob("*.lock")]

    assert requests_of(after) >= requests_of(counted)
    assert after("bridge_pool_threads_most", pool=POOL) == 8
    assert len(files) == 2


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_workers_that_are_stopped_leave_all_their_counts(
    server: str, control: Control, key: str
) -> None:
    with metrics_site(server, "--workers", "2") as (site, url):
        scrape_until(url, lambda now: now("bridge_processes") == 2)
        first = set(site.serving_pids())
        with fetching(site, *[f"/gated/{key}"] * 4):
            control.expect_waiting(key, "go", 4)
            for pid in first:
                os.kill(pid, signal.SIGTERM)
            control.open(key, "go")  # they end just before their workers
        scrape_until(url, lambda now: len(set(site.serving_pids()) - first) == 2)
        after = scrape_until(url, lambda now: now("bridge_processes") == 2)

    assert requests_of(after) >= 5  # the first by the harness


# -- the option ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--metrics", "flask_site:app"], "'flask_site:app'. If that is the app: write --metrics="),
        (["flask_site:app", "--metrics", "/metrics"], "expected HOST:PORT, or a PORT of 127.0.0.1"),
        (["flask_site:app", "--metrics", "host:70000"], "expected HOST:PORT, or a PORT of"),
        (["flask_site:app", "--metrics", ":9464"], "expected HOST:PORT, or a PORT of 127.0.0.1"),
        (["flask_site:app", "--metrics", "8000"], "port 8000 is that of the app"),
        (["flask_site:app", "--metrics", "192.0.2.1:9464"], "192.0.2.1"),
    ],
)
def test_a_wrong_address_is_refused(args: list[str], message: str) -> None:
    done = bridge("run", *args)

    assert done.code != 0
    assert message in done.err


def test_an_address_that_is_taken_is_refused() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        done = bridge("run", "flask_site:app", "--metrics", str(listener.getsockname()[1]))

    assert done.code == 1
    assert "in use" in done.err


def test_the_address_is_shown_and_where_it_is_public() -> None:
    with held_port() as holder:
        port = port_of(holder)
    with running("uvicorn", "flask_site:app", "--metrics", f"0.0.0.0:{port}") as site:
        log = site.log()

    url = f"http://0.0.0.0:{port}/metrics"
    assert f"bridge: metrics: {url}  (for everyone who reaches this address)" in log


def test_clients_that_send_nothing_take_no_more_threads_than_allowed() -> None:
    with running("uvicorn", "flask_site:app", "--metrics", "0") as site, ExitStack() as stack:
        url = metrics_url(site)
        port = int(url.split(":")[2].partition("/")[0])

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection((HOST, port), timeout=5))

        idle = [connected() for _ in range(MOST_CLIENTS)]
        assert connected().recv(1) == b""  # closed at once
        for each in idle:
            each.close()
        scrape_until(url, lambda found: found("bridge_processes") == 1)


def test_only_the_path_of_metrics_is_answered() -> None:
    with running("uvicorn", "flask_site:app", "--metrics", "0") as site:
        port = int(metrics_url(site).split(":")[2].partition("/")[0])
        listener = type(client_of(site))(port)
        assert listener.fetch("GET", "/").status == 404
        assert listener.fetch("HEAD", "/metrics").body == b""
        found = listener.fetch("GET", "/metrics", [("accept", "application/openmetrics-text")])
        junk = "application/openmetrics-text; version=x; escaping=y"
        assert listener.fetch("GET", "/metrics", [("accept", junk)]).status == 200

    assert found.body.endswith(b"# EOF\n")

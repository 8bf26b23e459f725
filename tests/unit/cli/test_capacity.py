"""The model of ``bridge plan-capacity``: queues, deployments and figures, without a server."""

from __future__ import annotations

import math
import re
import socket
import threading
from fractions import Fraction
from typing import Any

import pytest

from bridge.cli.capacity.figures import figures_of, notes_of
from bridge.cli.capacity.measure import MeasureFailed, measure
from bridge.cli.capacity.model import MOST_THREADS, Deployment, deployment_for
from bridge.cli.capacity.options import CapacityOptions, Service
from bridge.cli.capacity.queueing import ThreadQueue, erlang_c, least, least_threads
from bridge.cli.options import UsageError
from tests.harness.ports import HOST

# -- Erlang C --------------------------------------------------------------------------------------


def erlang_c_by_definition(threads: int, busy: Fraction) -> Fraction:
    """The formula as textbooks print it, without rounding."""
    states = [busy**count / math.factorial(count) for count in range(threads)]
    all_busy = busy**threads / math.factorial(threads) * threads / (threads - busy)
    return all_busy / (sum(states) + all_busy)


@pytest.mark.parametrize(
    ("threads", "busy", "published"),
    [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (14, 10.0, 0.1741), (10, 8.0, 0.4092)],
)
def test_erlang_c_has_the_published_values(threads: int, busy: float, published: float) -> None:
    assert erlang_c(threads, busy) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("threads", [1, 2, 8, 40, 200])
@pytest.mark.parametrize("utilisation", ["0.01", "0.5", "0.9", "0.999"])
def test_erlang_c_is_its_definition(threads: int, utilisation: str) -> None:
    busy = Fraction(utilisation) * threads

    expected = float(erlang_c_by_definition(threads, busy))

    assert erlang_c(threads, float(busy)) == pytest.approx(expected, rel=1e-9)


def test_erlang_c_does_not_overflow() -> None:
    assert 0 < erlang_c(100_000, 99_900.0) < 1
    assert erlang_c(2000, 1.0) == 0.0


@pytest.mark.parametrize(("threads", "busy"), [(1, 1.0), (8, 8.0), (8, 9.5)])
def test_every_request_waits_where_more_come_than_can_be_served(threads: int, busy: float) -> None:
    queue = ThreadQueue(threads, arrivals_per_s=busy, service_s=1.0)

    assert erlang_c(threads, busy) == 1.0
    assert queue.mean_wait_s == queue.wait_s(0.99) == math.inf


def test_one_thread_is_the_queue_of_pollaczek_and_khinchine() -> None:
    """M/G/1: the mean wait is rate x E[S^2] / 2 / (1 - utilisation)."""
    rate, service_s, variation = 6.0, 0.1, 0.4
    second_moment = service_s**2 * (1 + variation**2)

    queue = ThreadQueue(1, rate, service_s, variation)

    assert queue.mean_wait_s == pytest.approx(rate * second_moment / 2 / (1 - 0.6))


def test_equally_long_requests_wait_half_as_long_as_exponential_ones() -> None:
    exponential, constant = (ThreadQueue(8, 68.0, 0.1, variation) for variation in (1.0, 0.0))

    assert exponential.waiting_probability == constant.waiting_probability
    assert constant.mean_wait_s == pytest.approx(exponential.mean_wait_s / 2)


def test_the_p99_is_zero_where_fewer_than_one_request_in_a_hundred_waits() -> None:
    assert ThreadQueue(8, 20.0, 0.1).wait_s(0.99) == 0.0
    assert ThreadQueue(8, 60.0, 0.1).wait_s(0.99) > 0


def test_littles_law_gives_busy_threads_and_waiting_requests() -> None:
    queue = ThreadQueue(8, 68.0, 0.1)

    assert queue.busy == pytest.approx(6.8)
    assert queue.utilisation == pytest.approx(0.85)
    assert queue.waiting == pytest.approx(68 * queue.mean_wait_s)


@pytest.mark.parametrize("busy", [0.0, 0.01, 0.7, 3.5, 7.0, 100.0])
def test_the_least_threads_meet_both_targets_and_one_fewer_does_not(busy: float) -> None:
    threads = least_threads(busy, 0.7, 0.05)

    def meets(count: int) -> bool:
        return busy <= 0.7 * count * (1 + 1e-9) and erlang_c(count, busy) <= 0.05

    assert meets(threads)
    assert threads == 1 or not meets(threads - 1)


@pytest.mark.parametrize("start", [1, 3])
@pytest.mark.parametrize("limit", range(1, 40))
def test_the_lowest_number_that_fits_is_found(start: int, limit: int) -> None:
    assert least(start, lambda number: number >= limit) == max(start, limit)


# -- the deployment --------------------------------------------------------------------------------

SERVICE = Service(mean_s=0.08, waiting_share=0.9)


def options(requests_per_s: float = 2000.0, **given: Any) -> CapacityOptions:
    return CapacityOptions(**{"requests_per_s": requests_per_s, "service": SERVICE, **given})


def figures(given: CapacityOptions) -> dict[str, float]:
    return {figure.key: figure.value for figure in figures_of(deployment_for(given))}


def test_the_fewest_hosts_meet_the_targets() -> None:
    plan = deployment_for(options())

    assert plan.problems() == []
    assert Deployment(plan.options, plan.serving_hosts - 1).problems() != []
    assert plan.hosts == plan.serving_hosts + 1


def test_the_spare_hosts_are_not_needed_for_the_load() -> None:
    one, three = (deployment_for(options(spare_hosts=spare)) for spare in (1, 3))

    assert three.hosts == one.hosts + 2
    assert three.queue == one.queue
    assert three.workers == one.workers + 2 * 4


def test_computing_takes_longer_the_busier_the_worker_is() -> None:
    """72 ms of waiting stay; 8 ms of computing on a CPU that is busy for half the time take 16."""
    plan = deployment_for(options(62.5, workers=1, hosts=1, spare_hosts=0))

    assert plan.cpu == pytest.approx(0.5)
    assert plan.held_s == pytest.approx(0.072 + 0.016)


def test_workers_beyond_the_cpus_share_them() -> None:
    plan = deployment_for(options(100, workers=4, cpus=2, hosts=1, spare_hosts=0))

    assert plan.cpu == pytest.approx(25 * 0.008 / 0.5)
    assert plan.held_s == pytest.approx(0.072 + 0.016 / 0.6)


def test_streams_on_threads_are_added_to_the_threads_for_requests() -> None:
    without = deployment_for(options())
    streams = without.serving_workers * 10
    with_streams = deployment_for(options(event_streams=streams, streams_on_threads=streams))

    assert with_streams.threads == without.threads + 10
    assert with_streams.queue == without.queue


def test_more_hosts_are_used_rather_than_more_threads_than_were_measured() -> None:
    only_waits = Service(mean_s=1.0, waiting_share=1.0)
    plan = deployment_for(options(10_000, service=only_waits))

    assert plan.threads <= MOST_THREADS
    assert Deployment(plan.options, plan.serving_hosts - 1).refusal() is not None


def test_given_threads_are_kept_and_the_hosts_are_found() -> None:
    plan = deployment_for(options(threads=8))

    assert plan.threads == 8
    assert plan.queue.waiting_probability <= 0.05
    assert plan.hosts > deployment_for(options()).hosts


def test_memory_can_decide_the_number_of_hosts() -> None:
    """A million WebSockets of 28 KB are 27 GB, for which each host has 1,600 MB less 4 x 100."""
    plan = deployment_for(options(10, websockets=1_000_000, host_mb=1600.0))

    assert plan.host_mb <= 1600
    assert 20 < plan.serving_hosts < 30


def test_messages_to_websockets_use_cpu_time() -> None:
    quiet = deployment_for(options(websockets=1000))
    busy = deployment_for(options(websockets=1000, group_messages_per_s=1000.0, group_size=1000))

    assert busy.options.messages_per_s == 1e6
    assert busy.serving_workers > quiet.serving_workers + 1e6 * 40e-6


def test_given_hosts_that_are_too_small_are_reported() -> None:
    given = options(90, service=Service(mean_s=0.1, waiting_share=0.95), hosts=1, spare_hosts=0)
    plan = deployment_for(CapacityOptions(**{**vars(given), "threads": 8, "workers": 2}))

    (problem,) = plan.problems()
    assert problem.startswith("11.1% of the requests have to wait for a thread, more than ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"hosts": 2, "workers": 2, "threads": 4},
            "2 workers with 4 threads for requests cannot serve 110 requests/s: "
            "4.7 threads would be busy in each. Use more --threads or --hosts",
        ),
        (
            {"hosts": 2, "workers": 1, "requests_per_s": 200.0},
            "1 worker cannot serve 200 requests/s: each would have to compute for 160% of the time",
        ),
        (
            {"hosts": 2, "workers": 1, "threads": 4, "event_streams": 8, "streams_on_threads": 8},
            "1 worker with 4 threads: the streams hold 8 threads in each",
        ),
        (
            {"requests_per_s": 9e6, "service": Service(mean_s=1.0, waiting_share=1.0)},
            "not even 10,000 hosts meet the targets: 40,000 workers with 200 threads",
        ),
    ],
)
def test_a_load_that_cannot_be_served_is_an_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        deployment_for(options(**{"requests_per_s": 110.0, **given}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"requests_per_s": 0.0}, "--requests-per-s takes a number greater than 0, not 0"),
        ({"requests_per_s": math.inf}, "--requests-per-s takes a number greater than 0, not inf"),
        ({"service": Service(mean_s=0.0, waiting_share=0.5)}, "--service-s takes a number greater"),
        (
            {"service": Service(mean_s=1.0, waiting_share=1.1)},
            "--waiting-share takes a number from",
        ),
        ({"requests_per_s": 1e12}, "--requests-per-s 1e+12 x --service-s 0.08 are 80,000,000,000 "),
        ({"utilisation": 1.0}, "--utilisation takes a number between 0 and 1, not 1"),
        ({"waiting_probability": 0.0}, "--waiting-probability takes a number between 0 and 1"),
        ({"keep_alive_s": math.inf}, "--keep-alive-s takes a finite number of 0 or more, not inf"),
        ({"transaction_s": 0.1}, "--transaction-s 0.1: a transaction ends with its request"),
        ({"streams_on_threads": 1}, "--streams-on-threads 1: there are only 0 WebSockets"),
        ({"group_size": 1}, "--group-messages-per-s and --group-size need each other"),
        ({"group_size": 2, "group_messages_per_s": 1.0}, "--group-size 2: there are only 0 "),
        ({"hosts": 1}, "--hosts 1 --spare-hosts 1: no host is left to serve. Use more hosts, or "),
        ({"host_mb": 400.0}, "--host-mb 400: 4 workers of 100 MB need 400 MB before the first "),
    ],
)
def test_impossible_options_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        options(**wrong)


# -- the figures -----------------------------------------------------------------------------------


def test_postgres_connections_are_counted_with_and_without_pgbouncer() -> None:
    plan = deployment_for(options(transaction_s=0.02))
    found = figures(plan.options)

    assert found["postgres_persistent"] == plan.workers * plan.threads
    assert found["pgbouncer_clients"] == found["postgres_persistent"]
    assert found["pgbouncer_servers"] == least_threads(2000 * 0.02, 0.7, 0.05)
    busy = 2000 * plan.held_s
    assert found["postgres_per_request"] == math.ceil(busy + 3 * math.sqrt(busy))


def test_without_a_transaction_time_all_waiting_counts_as_one() -> None:
    assert figures(options())["pgbouncer_servers"] == least_threads(144.0, 0.7, 0.05)


def test_a_group_message_goes_once_to_each_worker_that_has_a_member() -> None:
    """With one member, to one worker; with far more members than workers, to all of them."""
    few = figures(options(websockets=9000, group_messages_per_s=5.0, group_size=1))
    many = figures(options(websockets=9000, group_messages_per_s=5.0, group_size=9000))

    assert few["redis_deliveries_per_s"] == pytest.approx(5.0)
    serving = many["workers"] - 4
    assert many["redis_deliveries_per_s"] == pytest.approx(5.0 * serving)
    assert many["websocket_messages_per_s"] == 45_000
    assert many["redis_connections"] == 2 * many["workers"]


def test_there_are_no_figures_of_redis_without_groups() -> None:
    assert not [key for key in figures(options(websockets=10)) if "redis" in key]


def test_open_files_are_those_of_clients_threads_and_reserve() -> None:
    plan = deployment_for(options(websockets=2400))
    found = figures(plan.options)

    assert found["stream_connections"] == math.ceil(2400 / plan.serving_workers)
    clients = found["http_connections"] + found["stream_connections"]
    assert found["open_files"] == clients + plan.threads + 32 + 128


def test_limits_of_other_programs_are_noted() -> None:
    assert notes_of(deployment_for(options(10))) == []
    large = notes_of(deployment_for(options(websockets=1_000_000)))
    assert large[0].startswith("PostgreSQL accepts 97 connections by default")
    assert "connections; a proxy can open 28,232" in large[1]


def test_every_figure_has_a_calculation() -> None:
    found = figures_of(deployment_for(options(websockets=9, group_messages_per_s=5, group_size=2)))

    assert len({figure.key for figure in found}) == len(found)
    assert all(figure.why and figure.text for figure in found)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "ftp://x/", "http://", "http://x:port/", "http://x/a b", "http://[x/"],
)
def test_a_url_that_cannot_be_measured_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--measure takes a URL of the app, such as "):
        measure(url, 2, None, 0.5)


def test_what_is_no_http_is_reported_without_control_characters() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x1b]0;b\x07\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(MeasureFailed) as caught:
            measure(f"http://{HOST}:{port}/", 2, None, 0.5)
        thread.join()

    assert str(caught.value) == rf"--measure http://{HOST}:{port}/: BadStatusLine: \x1b]0;b\x07"

"""What a deployment needs and holds, as figures: each a number with its calculation. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.cli.bench.svg import number
from bridge.cli.capacity.model import Deployment, count_of
from bridge.cli.capacity.queueing import least_threads

__all__ = ["Figure", "figures_of", "notes_of"]

POSTGRES_CONNECTIONS = 97
"""``max_connections`` is 100 by default, and 3 of these are for superusers."""
EPHEMERAL_PORTS = 28_232
"""Linux's default, 32768 to 60999: for connections from one address to one address and port."""
REDIS_CONNECTIONS = 2
"""channels_redis, in each worker: one to receive, one to send."""
OTHER_FILES = 32
"""Standard streams, the listening socket, selectors and their wake-up pipes, log files."""


@dataclass(frozen=True)
class Figure:
    """A number of the plan.

    :ivar key: its name in JSON.
    :ivar section: its heading in the text.
    :ivar unit: such as ``ms``, or empty for a count.
    :ivar why: its calculation.
    """

    key: str
    section: str
    name: str
    value: float
    why: str
    unit: str = ""

    @property
    def text(self) -> str:
        shown = f"{self.value:,}" if isinstance(self.value, int) else number(self.value)
        return f"{shown}{'' if self.unit == '%' else ' '}{self.unit}".rstrip()


def figures_of(plan: Deployment) -> list[Figure]:
    """All figures, in the order to show them.

    :raises UsageError: the load cannot be served.
    """
    parts = (_hosts(plan), _worker(plan), _database(plan), _redis(plan), _sockets(plan))
    return [figure for part in parts for figure in part]


def _hosts(plan: Deployment) -> Iterator[Figure]:
    options, section = plan.options, "Hosts"
    spare = f"{plan.serving_hosts:,} for the load + {options.spare_hosts} spare"
    yield Figure("hosts", section, "hosts", plan.hosts, spare)
    each = f"{count_of(plan.hosts, 'host')} x {options.workers_per_host}"
    yield Figure("workers", section, "workers", plan.workers, each)
    yield Figure(
        "threads_total",
        section,
        "threads",
        plan.workers * plan.threads,
        f"{count_of(plan.workers, 'worker')} x {plan.threads}",
    )
    yield Figure(
        "host_mb",
        section,
        "memory of a host",
        plan.host_mb,
        f"{count_of(options.workers_per_host, 'worker')} x {number(plan.worker_mb)} MB",
        "MB",
    )


def _worker(plan: Deployment) -> Iterator[Figure]:
    options, queue, section = (
        plan.options,
        plan.queue,
        "Each worker, while the spare hosts are down",
    )
    rate = f"{number(options.requests_per_s)} / {count_of(plan.serving_workers, 'worker')}"
    yield Figure("worker_requests_per_s", section, "requests/s", plan.requests_per_s, rate)
    yield Figure("cpu_utilisation", section, "CPU", plan.cpu * 100, _cpu_why(plan), "%")
    service = options.service
    held = (
        f"{number(service.waits_s * 1000)} ms waiting + "
        f"{number((plan.held_s - service.waits_s) * 1000)} ms computing"
    )
    yield Figure("held_ms", section, "a thread is held for", plan.held_s * 1000, held, "ms")
    busy = f"{number(plan.requests_per_s)}/s x {number(plan.held_s * 1000)} ms (Little's law)"
    yield Figure("busy_threads", section, "threads busy", queue.busy, busy)
    streams = plan.threads_of_streams
    threads = f"{queue.threads} for requests" + (f" + {streams} for streams" if streams else "")
    yield Figure("threads", section, "threads (--threads)", plan.threads, threads)
    yield Figure(
        "thread_utilisation",
        section,
        "threads are busy",
        queue.utilisation * 100,
        f"{number(queue.busy)} of {queue.threads}",
        "%",
    )
    erlang = f"Erlang C for {queue.threads} threads"
    waits = queue.waiting_probability * 100
    yield Figure("waiting_probability", section, "requests that wait", waits, erlang, "%")
    shape = f"{number(queue.waiting)} requests wait, for a variation of {service.variation:g}"
    yield Figure("wait_mean_ms", section, "mean wait", queue.mean_wait_s * 1000, shape, "ms")
    p99 = "99 of 100 requests wait for less"
    yield Figure("wait_p99_ms", section, "p99 wait", queue.wait_s(0.99) * 1000, p99, "ms")
    memory = f"{options.worker_mb:g} MB + threads, WebSockets and streams"
    yield Figure("worker_mb", section, "memory", plan.worker_mb, memory, "MB")


def _cpu_why(plan: Deployment) -> str:
    options = plan.options
    why = f"{number(plan.requests_per_s)}/s x {number(options.service.cpu_s * 1000)} ms"
    if options.messages_per_s:
        messages = options.messages_per_s / plan.serving_workers
        why += f" + {number(messages)} messages/s x {number(options.message_cpu_s * 1e6)} µs"
    if plan.cpus_per_worker < 1:
        why += f", of {number(plan.cpus_per_worker)} CPU"
    return why


def _database(plan: Deployment) -> Iterator[Figure]:
    """Of the requests on threads; what async views and streams hold comes on top."""
    options, section = plan.options, "PostgreSQL connections"
    persistent = plan.workers * plan.threads
    yield Figure(
        "postgres_persistent",
        section,
        "persistent",
        persistent,
        f"one for each of {persistent:,} threads (CONN_MAX_AGE)",
    )
    busy = options.requests_per_s * plan.held_s
    peak = min(persistent, math.ceil(busy + 3 * math.sqrt(busy)))
    yield Figure(
        "postgres_per_request",
        section,
        "one per request",
        peak,
        f"{number(busy)} requests run at once + 3 standard deviations; "
        f"{number(options.requests_per_s)} connections are opened each second",
    )
    in_transaction = options.requests_per_s * options.held_transaction_s
    pool = least_threads(in_transaction, options.utilisation, options.waiting_probability)
    yield Figure(
        "pgbouncer_servers",
        section,
        "behind pgbouncer",
        pool,
        f"{number(in_transaction)} transactions at once, by Erlang C (pool_mode = transaction)",
    )
    yield Figure(
        "pgbouncer_clients",
        section,
        "to pgbouncer",
        persistent,
        "its max_client_conn, of all pgbouncers together",
    )


def _redis(plan: Deployment) -> Iterator[Figure]:
    options, section = plan.options, "Redis (a channel layer)"
    if not options.group_messages_per_s:
        return
    connections = plan.workers * REDIS_CONNECTIONS
    why = f"{count_of(plan.workers, 'worker')} x {REDIS_CONNECTIONS}"
    yield Figure("redis_connections", section, "connections", connections, why)
    workers = plan.serving_workers
    reached = workers * (1 - (1 - 1 / workers) ** options.group_size)
    yield Figure(
        "redis_deliveries_per_s",
        section,
        "messages/s to workers",
        options.group_messages_per_s * reached,
        f"{number(options.group_messages_per_s)}/s x {number(reached)} workers that have a member",
    )
    yield Figure(
        "websocket_messages_per_s",
        section,
        "messages/s to clients",
        options.messages_per_s,
        f"{number(options.group_messages_per_s)}/s x {options.group_size:,} members",
    )


def _sockets(plan: Deployment) -> Iterator[Figure]:
    options, section = plan.options, "Sockets and files of a worker"
    kept_s = plan.held_s + plan.queue.mean_wait_s + options.keep_alive_s
    http = math.ceil(plan.requests_per_s * kept_s)
    yield Figure(
        "http_connections",
        section,
        "HTTP connections",
        http,
        f"at most {number(plan.requests_per_s)}/s x {number(kept_s)} s, with keep-alive",
    )
    streams = math.ceil(options.streams / plan.serving_workers)
    yield Figure(
        "stream_connections",
        section,
        "WebSockets and streams",
        streams,
        f"{options.streams:,} / {count_of(plan.serving_workers, 'worker')}",
    )
    redis = REDIS_CONNECTIONS if options.group_messages_per_s else 0
    yield Figure(
        "open_files",
        section,
        "open files (ulimit -n)",
        http + streams + plan.threads + redis + OTHER_FILES + 128,
        f"{http + streams:,} clients + {plan.threads} database + {redis} Redis + {OTHER_FILES} "
        "others + 128 that bridge keeps free",
    )


def notes_of(plan: Deployment) -> list[str]:
    """Limits of other programs, at their defaults, that the plan exceeds."""
    figures = {figure.key: figure for figure in figures_of(plan)}
    notes = []
    if figures["postgres_persistent"].value > POSTGRES_CONNECTIONS:
        notes.append(
            f"PostgreSQL accepts {POSTGRES_CONNECTIONS} connections by default: persistent ones "
            "need pgbouncer, or a higher max_connections"
        )
    each = figures["http_connections"].value + figures["stream_connections"].value
    each *= plan.options.workers_per_host
    if each > EPHEMERAL_PORTS:
        notes.append(
            f"a host has {each:,} connections; a proxy can open {EPHEMERAL_PORTS:,} from one "
            "address to one port: let it use several addresses or ports"
        )
    return notes

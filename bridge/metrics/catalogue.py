"""Every metric of bridge: name, kind, labels and help. The reference and the dashboard follow it.

Names have the prefix ``bridge_`` and end in their unit, as Prometheus recommends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CATALOGUE", "Kind", "Metric", "Mode"]

Kind = Literal["counter", "gauge", "histogram"]
Mode = Literal["livesum", "livemax"]
"""How a gauge of several workers becomes one: the sum, or the highest, of those that live."""

SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric. Each is one object: it is a key by identity.

    :ivar name: as in a query; that of a counter ends in ``_total``.
    :ivar bounds: the upper bounds of a histogram's buckets, in seconds, without infinity.
    :ivar mode: of a gauge.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    mode: Mode = "livesum"


CATALOGUE: dict[str, Metric] = {}


def _metric(
    name: str,
    kind: Kind,
    help: str,
    *labels: str,
    bounds: tuple[float, ...] = (),
    mode: Mode = "livesum",
) -> Metric:
    metric = CATALOGUE[name] = Metric(name, kind, help, labels, bounds, mode)
    return metric


# -- requests --------------------------------------------------------------------------------------

REQUESTS = _metric(
    "bridge_requests_total",
    "counter",
    "HTTP requests that have ended, by the status of the response; none if there was none.",
    "status",
)
REQUESTS_IN_PROGRESS = _metric(
    "bridge_requests_in_progress", "gauge", "HTTP requests that have arrived and not ended."
)
REQUEST_S = _metric(
    "bridge_request_seconds",
    "histogram",
    "From the arrival of an HTTP request at the app until its end.",
    bounds=LONG_S,
)
REQUEST_QUEUE_S = _metric(
    "bridge_request_queue_seconds",
    "histogram",
    "How long an HTTP request has waited for a thread, or for the event loop.",
    bounds=SHORT_S,
)
REQUEST_THREAD_S = _metric(
    "bridge_request_thread_seconds",
    "histogram",
    "How long an HTTP request has occupied a thread.",
    bounds=LONG_S,
)
REQUEST_WIRE_S = _metric(
    "bridge_request_wire_seconds",
    "histogram",
    "The rest of the time of an HTTP request: reading its body from, and sending the response to, "
    "the client; of an async app, all but its wait.",
    bounds=LONG_S,
)
PROXY_WAIT_S = _metric(
    "bridge_request_proxy_wait_seconds",
    "histogram",
    "How long an HTTP request has waited in front of the server, by X-Request-Start.",
    bounds=SHORT_S,
)
RECEIVED_BYTES = _metric(
    "bridge_received_bytes_total",
    "counter",
    "Bytes of bodies and WebSocket messages that apps have received.",
    "kind",
)
SENT_BYTES = _metric(
    "bridge_sent_bytes_total",
    "counter",
    "Bytes of bodies and WebSocket messages that apps have sent.",
    "kind",
)
DISCONNECTS = _metric(
    "bridge_disconnects_total",
    "counter",
    "Requests and WebSockets whose client has disconnected before their end.",
    "kind",
)
ERRORS = _metric(
    "bridge_errors_total",
    "counter",
    "Exceptions that apps have raised to their server, by class.",
    "error",
)
WEBSOCKETS = _metric(
    "bridge_websockets_total",
    "counter",
    "WebSockets that have ended, by the status of the handshake.",
    "status",
)
WEBSOCKETS_OPEN = _metric("bridge_websockets_open", "gauge", "WebSockets that are open.")

# -- pools -----------------------------------------------------------------------------------------

POOL_THREADS = _metric("bridge_pool_threads", "gauge", "Threads of a pool, idle or busy.", "pool")
POOL_IDLE = _metric("bridge_pool_threads_idle", "gauge", "Threads that have no job.", "pool")
POOL_BUSY = _metric("bridge_pool_threads_busy", "gauge", "Threads that run a job.", "pool")
POOL_MOST = _metric("bridge_pool_threads_most", "gauge", "Threads that may run at once.", "pool")
POOL_BACKLOG = _metric("bridge_pool_backlog", "gauge", "Jobs that wait for a thread.", "pool")
POOL_BACKLOG_MOST = _metric("bridge_pool_backlog_most", "gauge", "Jobs that may wait.", "pool")
POOL_REFUSED = _metric(
    "bridge_pool_refused_total",
    "counter",
    "Jobs refused because the backlog is full or the pool is overloaded; requests get 503.",
    "pool",
)
POOL_QUEUE_S = _metric(
    "bridge_pool_queue_seconds",
    "histogram",
    "How long a job has waited for a thread: a request, or a call of a sync helper. For a limit of "
    "bridge.sync, until it is its turn.",
    "pool",
    bounds=SHORT_S,
)
POOL_THREAD_S = _metric(
    "bridge_pool_thread_seconds",
    "histogram",
    "How long a job has run on its thread.",
    "pool",
    bounds=LONG_S,
)
LIMIT_RUNNING = _metric("bridge_limit_running", "gauge", "Calls of a limit that run.", "limit")
LIMIT_MOST = _metric("bridge_limit_most", "gauge", "Calls of a limit that may run.", "limit")
LIMIT_WAITING = _metric("bridge_limit_waiting", "gauge", "Calls of a limit that wait.", "limit")
SINGLE_THREAD_WAITING = _metric(
    "bridge_thread_sensitive_waiting",
    "gauge",
    "Thread-sensitive calls that wait for the one thread of the process.",
)

# -- event loops -----------------------------------------------------------------------------------

LOOPS = _metric("bridge_loops", "gauge", "Event loops that are measured.")
LOOP_LAG_S = _metric(
    "bridge_loop_lag_seconds",
    "histogram",
    "How late an event loop runs a timer that is due, measured ten times a second.",
    bounds=SHORT_S,
)
LOOP_LATE_S = _metric(
    "bridge_loop_late_seconds",
    "gauge",
    "How late the latest event loop is at this moment: it grows while a loop is blocked.",
    mode="livemax",
)
TASKS = _metric("bridge_tasks", "gauge", "Tasks of the event loops.")
BACKGROUND_TASKS = _metric(
    "bridge_background_tasks",
    "gauge",
    "Requests through to_wsgi whose app runs on after the end of its response.",
)
HAND_OVERS = _metric(
    "bridge_hand_overs_total",
    "counter",
    "How often a thread, or an event loop, was woken to take work over.",
    "to",
)

# -- processes -------------------------------------------------------------------------------------

PROCESSES = _metric("bridge_processes", "gauge", "Worker processes that are alive.")

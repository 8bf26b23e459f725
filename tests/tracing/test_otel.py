"""A request is one trace across the crossing, with OpenTelemetry's own instrumentation packages.

The Router of :mod:`tests.tracing.otel_site` has one worker thread. Its bare form has no span around
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

from tests.conftest import LiveServer, Servers
from tests.harness.control import Control
from tests.harness.servers import ASGI_SERVERS, WSGI_SERVERS
from tests.tracing.traces import headers_of, trace_of

SITE = "tests.tracing.otel_site"
ASGI_SERVER = "uvicorn-h11"
WSGI_SERVER = "gunicorn-gthread"


Site = Callable[[str, str], LiveServer]


@pytest.fixture
def site(servers: Servers) -> Iterator[Site]:
    """The Router on a server, by their names, with a new client."""
    with ExitStack() as stack:

        def get(name: str, app: str) -> LiveServer:
            live = LiveServer.of(servers.get(name, f"{SITE}:{app}", env={}))
            stack.callback(live.client.close)
            return live

        yield get


@pytest.fixture
def asgi(site: Site) -> LiveServer:
    """The Router on an ASGI server, in a span of OpenTelemetry's ASGI middleware."""
    return site(ASGI_SERVER, "asgi")


@pytest.fixture
def wsgi(site: Site) -> LiveServer:
    """The Router on a WSGI server, in a span of OpenTelemetry's WSGI middleware."""
    return site(WSGI_SERVER, "wsgi")


def sibling_of(key: str) -> str:
    """The key of another trace of the same test."""
    return f"key-{int(key.removeprefix('key-'), 16) ^ 1:032x}"


def under(server: str, *spans: str) -> list[str]:
    return [server, *(f"  {span}" for span in spans)]


THREADS = [
    ("/flask/view", ["bridge.thread", "  GET /view", "    work"]),
    ("/flask/stream", ["bridge.thread", "  GET /stream", "  work"]),
    ("/flask/crossing", ["bridge.thread", "  GET /crossing", "    work"]),
    ("/flask/opentracing", ["bridge.thread", "  GET /opentracing", "    legacy", "      work"]),
    ("/django/view", ["bridge.thread", "  GET", "    work"]),
    ("/django/async", ["bridge.thread", "  GET", "    work"]),
    ("/django/stream", ["bridge.thread", "  GET", "work"]),
]
"""WSGI apps on an ASGI server."""

LOOP = [
    ("/fastapi/view", ["bridge.loop", "  GET /view", "    work"]),
    ("/fastapi/thread", ["bridge.loop", "  GET /thread", "    work"]),
    ("/fastapi/stream", ["bridge.loop", "  GET /stream", "    work"]),
    (
        "/fastapi/background",
        ["bridge.loop", "  GET /background", "    BackgroundTask work", "      work"],
    ),
    (
        "/fastapi/crossing",
        [
            "bridge.loop",
            "  GET /crossing",
            "    bridge.queue",
            "    bridge.thread",
            "      work",
        ],
    ),
]
"""ASGI apps on a WSGI server."""

NATIVE = [
    (ASGI_SERVER, "/fastapi/view", ["GET /view", "  work"]),
    (ASGI_SERVER, "/fastapi/thread", ["GET /thread", "  work"]),
    (ASGI_SERVER, "/fastapi/stream", ["GET /stream", "  work"]),
    (WSGI_SERVER, "/flask/view", ["GET /view", "  work"]),
    (WSGI_SERVER, "/flask/stream", ["GET /stream", "work"]),
    (WSGI_SERVER, "/flask/crossing", ["GET /crossing", "  work"]),
    (WSGI_SERVER, "/django/view", ["GET", "  work"]),
    (WSGI_SERVER, "/django/async", ["GET", "  work"]),
]
"""Apps of the server's interface: nothing is crossed, and bridge adds no span."""


CROSSINGS = [
    *((ASGI_SERVER, path, ["bridge.queue", *spans]) for path, spans in THREADS),
    *((WSGI_SERVER, path, ["bridge.queue", *spans]) for path, spans in LOOP),
]


def around(name: str) -> str:
    """The app of the site with a span around it, on a server of that name."""
    return "asgi" if name in ASGI_SERVERS else "wsgi"


@pytest.mark.parametrize(("name", "path", "spans"), [*CROSSINGS, *NATIVE])
def test_an_app_is_in_the_trace_of_its_request(
    site: Site, control: Control, key: str, name: str, path: str, spans: list[str]
) -> None:
    expected = under(f"GET {path}", *spans)

    assert site(name, around(name)).client.fetch("GET", path, headers_of(key)).status == 200

    assert trace_of(control, key, len(expected)).tree() == expected


@pytest.mark.full
@pytest.mark.parametrize("name", [*ASGI_SERVERS, *WSGI_SERVERS])
def test_a_request_is_one_trace_on_every_server(
    site: Site, control: Control, key: str, name: str
) -> None:
    path, spans = THREADS[0] if name in ASGI_SERVERS else LOOP[0]
    expected = under(f"GET {path}", "bridge.queue", *spans)

    assert site(name, around(name)).client.fetch("GET", path, headers_of(key)).status == 200

    assert trace_of(control, key, len(expected)).tree() == expected


@pytest.mark.parametrize("name", [ASGI_SERVER, WSGI_SERVER])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/flask/view", ["GET /view", "  work"]),
        ("/django/view", ["GET", "  work"]),
        ("/fastapi/view", ["GET /view", "  work"]),
    ],
)
def test_without_a_span_around_it_the_span_of_the_framework_is_that_of_the_server(
    site: Site, control: Control, key: str, name: str, path: str, expected: list[str]
) -> None:
    live = site(name, "bare")

    assert live.client.fetch("GET", path, headers_of(key)).status == 200

    trace = trace_of(control, key, len(expected))
    assert trace.tree() == expected
    assert trace.spans[0]["kind"] == "SERVER"


def test_the_spans_of_a_thread_name_it_and_begin_where_the_wait_ends(
    asgi: LiveServer, control: Control, key: str
) -> None:
    asgi.client.fetch("GET", "/flask/view", headers_of(key))

    trace = trace_of(control, key, 5)
    server, queue = trace.span("GET /flask/view"), trace.span("bridge.queue")
    thread = trace.span("bridge.thread")
    assert thread["scope"] == queue["scope"] == "bridge"
    assert thread["kind"] == queue["kind"] == "INTERNAL"
    assert thread["attributes"]["thread.name"].startswith("bridge-worker")
    assert thread["attributes"]["thread.id"] > 0
    assert server["start"] <= queue["start"] <= queue["end"] <= thread["start"] <= thread["end"]


def test_the_queue_span_is_the_wait_for_a_thread(site: Site, control: Control, key: str) -> None:
    clients = [site(ASGI_SERVER, "asgi").client for _ in range(3)]
    first = clients[0].open("GET", "/flask/held", headers_of(key))
    first.end()
    control.expect_waiting(key, "held")
    other = sibling_of(key)
    second = clients[1].open("GET", "/flask/view", headers_of(other))
    second.end()
    assert clients[2].fetch("GET", "/fastapi/view").status == 200  # so the loop has read both

    control.open(key, "held")

    assert [first.read().status, second.read().status] == [200, 200]
    first.close()
    second.close()
    before = trace_of(control, key, 5).span("bridge.thread")
    queue = trace_of(control, other, 5).span("bridge.queue")
    assert queue["start"] < before["end"] <= queue["end"]


def test_a_call_of_sync_to_async_has_the_name_of_its_function(
    wsgi: LiveServer, control: Control, key: str
) -> None:
    wsgi.client.fetch("GET", "/fastapi/crossing", headers_of(key))

    trace = trace_of(control, key, 7)
    named = [span for span in trace.spans if "code.function.name" in span["attributes"]]
    assert [span["name"] for span in named] == ["bridge.queue", "bridge.thread"]
    assert {span["attributes"]["code.function.name"] for span in named} == {f"{SITE}.work"}


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "recorded", "failed"),
    [
        (ASGI_SERVER, "/flask/error", "GET /error", ["GET /flask/error", "GET /error"]),
        (ASGI_SERVER, "/django/error", "GET", ["GET /django/error", "GET"]),
        (ASGI_SERVER, "/wsgi-error", "GET /wsgi-error", ["GET /wsgi-error", "bridge.thread"]),
        (
            WSGI_SERVER,
            "/fastapi/error",
            "GET /error",
            ["GET /fastapi/error", "bridge.loop", "GET /error"],
        ),
    ],
)
def test_an_exception_is_recorded_once(
    site: Site,
    control: Control,
    key: str,
    name: str,
    path: str,
    recorded: str,
    failed: list[str],
) -> None:
    live = site(name, around(name))

    assert live.client.fetch("GET", path, headers_of(key)).status == 500

    trace = trace_of(control, key, 3 if path == "/wsgi-error" else 4)
    assert trace.with_exceptions() == [f"{recorded}: LookupError"]
    assert trace.failed() == failed
    for span in trace.spans:
        if span["name"] in ("bridge.thread", "bridge.loop") and span["status"] == "ERROR":
            assert span["attributes"]["error.type"] == "LookupError"


# -- how long a span lasts -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/flask/stream", "/django/stream"])
def test_the_span_around_a_stream_lasts_until_its_last_byte(
    asgi: LiveServer, control: Control, key: str, path: str
) -> None:
    asgi.client.fetch("GET", path, headers_of(key))

    trace = trace_of(control, key, 5)
    assert trace.span(f"GET {path}")["end"] >= trace.span("work")["end"]


def test_the_loop_span_lasts_until_the_background_task_has_ended(
    wsgi: LiveServer, control: Control, key: str
) -> None:
    wsgi.client.fetch("GET", "/fastapi/background", headers_of(key))

    trace = trace_of(control, key, 6)
    assert trace.span("bridge.loop")["end"] >= trace.span("BackgroundTask work")["end"]


# -- WebSockets and sampling -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [ASGI_SERVER, WSGI_SERVER])
def test_a_websocket_is_in_the_trace_of_its_handshake(
    site: Site, control: Control, key: str, name: str
) -> None:
    live = site(name, around(name))
    address = f"ws://127.0.0.1:{live.port}/fastapi/socket"

    with connect(address, additional_headers=headers_of(key)) as socket:
        assert socket.recv() == "done"

    spans = trace_of(control, key, 3).spans
    names = {span["id"]: span["name"] for span in spans}
    [work] = [span for span in spans if span["name"] == "work"]
    assert "/socket" in names[work["parent"]]


def test_a_websocket_of_a_wsgi_app_is_in_the_trace_of_its_handshake(
    asgi: LiveServer, control: Control, key: str
) -> None:
    address = f"ws://127.0.0.1:{asgi.port}/sock/echo"

    with connect(address, additional_headers=headers_of(key)) as socket:
        assert socket.recv() == "done"

    expected = [
        "HTTP /sock/echo",
        "  bridge.queue",
        "  bridge.thread",
        "    GET /echo",
        "      work",
    ]
    assert trace_of(control, key, len(expected)).tree() == expected


@pytest.mark.parametrize(
    ("name", "path"), [(ASGI_SERVER, "/flask/view"), (WSGI_SERVER, "/fastapi/view")]
)
def test_no_span_is_made_in_a_trace_that_is_not_sampled(
    site: Site, control: Control, key: str, name: str, path: str
) -> None:
    live = site(name, around(name))
    other = sibling_of(key)

    assert live.client.fetch("GET", path, headers_of(key, is_sampled=False)).status == 200
    assert live.client.fetch("GET", path, headers_of(other)).status == 200

    assert trace_of(control, other, 5).spans
    assert control.reports(key, "span") == []

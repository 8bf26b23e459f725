"""``bridge.otel``: what it accepts and replaces, and the spans of requests that are refused."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import bridge
import bridge.otel
from bridge._threads.loop_inbox import inbox_of
from bridge.asgi_to_wsgi.loop_side import LoopSide
from bridge.otel.sides import TracedCall, TracedLoopSide, TracedThreadSide
from bridge.otel.spans import name_of
from bridge.sync.calls import Call
from bridge.types import Environ, Receive, Scope, Send, StartResponse
from bridge.wsgi_to_asgi.bodies import ResponseBody
from bridge.wsgi_to_asgi.thread_side import ThreadSide
from tests.harness.asgi import call as call_asgi
from tests.harness.asgi import http_scope
from tests.harness.wsgi import call as call_wsgi
from tests.harness.wsgi import environ_of


def made() -> tuple[type, type, type]:
    """What is made for a request in each direction, and for a call."""
    return ThreadSide.made_as, LoopSide.made_as, Call.made_as


PLAIN = (ThreadSide, LoopSide, Call)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that have ended, while bridge is instrumented for this thread's test only."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    bridge.otel.instrument(provider, sync_calls=True)
    exporter.provider = provider  # type: ignore[attr-defined]  # for the test's own spans
    yield exporter
    bridge.otel.uninstrument()


def in_a_span(exporter: Any) -> Any:
    return exporter.provider.get_tracer("test").start_as_current_span("around")


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_it_is_off_until_it_is_switched_on() -> None:
    assert made() == PLAIN


def test_it_can_be_switched_on_and_off_again() -> None:
    bridge.otel.instrument()
    on = made()
    bridge.otel.uninstrument()

    assert on == (TracedThreadSide, TracedLoopSide, Call)
    assert made() == PLAIN


def test_calls_are_an_option() -> None:
    bridge.otel.instrument(sync_calls=True)
    on = made()
    bridge.otel.uninstrument()

    assert on == (TracedThreadSide, TracedLoopSide, TracedCall)


def test_the_entry_point_switches_it_on_and_off() -> None:
    instrumentor = bridge.otel.BridgeInstrumentor()

    instrumentor.instrument(skip_dep_check=True)
    on = made()
    instrumentor.uninstrument()

    assert on == (TracedThreadSide, TracedLoopSide, Call)
    assert made() == PLAIN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tracer_provider": "jaeger"}, "tracer_provider='jaeger'"),
        ({"sync_calls": "all"}, "sync_calls='all'"),
    ],
)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(bridge.ConfigError, match=message):
        bridge.otel.instrument(**arguments)

    assert made() == PLAIN


def test_the_error_without_the_api_names_the_extra() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import bridge.otel"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert ran.stderr.endswith(
        "ModuleNotFoundError: bridge.otel needs opentelemetry-api: "
        "pip install 'wsgi-asgi-bridge[otel]'\n"
    )


def test_bridge_itself_imports_nothing_of_it() -> None:
    code = "import bridge, sys; print([name for name in sys.modules if 'opentelemetry' in name])"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


async def test_a_request_that_is_refused_after_a_wait_has_a_failed_span(
    spans: InMemorySpanExporter,
) -> None:
    loop = asyncio.get_running_loop()
    body = ResponseBody(inbox_of(loop), 65536)
    with in_a_span(spans):
        job = ThreadSide.made_as(lambda *_: [], {}, {"method": "GET"}, loop, body, False)

        job.refuse(bridge.PoolSaturated("too many"))

    queue = named(spans)["bridge.queue"]
    assert queue.status.status_code is StatusCode.ERROR
    assert queue.attributes == {"error.type": "bridge.errors.PoolSaturated"}
    assert not queue.events


async def test_a_call_that_fails_has_a_failed_span(spans: InMemorySpanExporter) -> None:
    def fail() -> None:
        raise LookupError("nothing here")

    with in_a_span(spans), pytest.raises(LookupError):
        await bridge.sync_to_async(fail, thread_sensitive=False)()

    thread = named(spans)["bridge.thread"]
    assert thread.status.status_code is StatusCode.ERROR
    assert thread.attributes is not None
    assert thread.attributes["error.type"] == "LookupError"
    assert not thread.events


async def test_a_call_outside_of_a_trace_makes_no_span(spans: InMemorySpanExporter) -> None:
    assert await bridge.sync_to_async(lambda: 1, thread_sensitive=False)() == 1

    assert not spans.get_finished_spans()


async def test_a_call_is_shown_as_its_function(spans: InMemorySpanExporter) -> None:
    call = Call.made_as(test_calls_are_an_option, (), {}, None, asyncio.get_running_loop())

    assert repr(call._func) == repr(test_calls_are_an_option)


def test_names() -> None:
    assert name_of(name_of) == "bridge.otel.spans.name_of"
    assert name_of(partial(name_of)) == "functools.partial"
    assert name_of(bridge.WorkerPool.post) == "bridge._threads.pool.WorkerPool.post"


class FailingProcessor(SpanProcessor):
    """Fails in one method, for the spans of bridge."""

    def __init__(self, method: str) -> None:
        self._method = method

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._fail("on_start", span)

    def on_end(self, span: ReadableSpan) -> None:
        self._fail("on_end", span)

    def _fail(self, method: str, span: Any) -> None:
        if method == self._method and span.name.startswith("bridge."):
            raise RuntimeError("the processor")


@pytest.fixture(params=["on_start", "on_end"])
def failing(request: pytest.FixtureRequest) -> Iterator[Any]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FailingProcessor(request.param))
    bridge.otel.instrument(provider, sync_calls=True)
    yield provider.get_tracer("test")
    bridge.otel.uninstrument()


def _log_of_failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "bridge.otel"]


def test_a_failing_span_processor_fails_no_request_on_a_thread(
    failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    with failing.start_as_current_span("around"):
        response = call_asgi(bridge.to_asgi(app), http_scope())

    assert (response.status, response.body) == (200, b"ok")
    assert any("span" in line for line in _log_of_failures(caplog))


def test_a_failing_span_processor_fails_no_request_on_a_loop(failing: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    adapter = bridge.AsgiToWsgi(app)
    with failing.start_as_current_span("around"), closing(adapter):
        response = call_wsgi(adapter, environ_of(), validate=False)

    assert (response.status, response.body) == (200, b"ok")


def test_a_failing_span_processor_fails_no_call(failing: Any) -> None:
    async def call() -> object:
        with failing.start_as_current_span("around"):
            return await bridge.sync_to_async(lambda: "ok")()

    assert asyncio.run(call()) == "ok"

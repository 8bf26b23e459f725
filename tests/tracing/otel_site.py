"""Instrumented Flask, FastAPI and Django apps in a Router, inside OpenTelemetry's own middleware.

Each span is reported to the test whose key has the trace id. ``asgi`` and ``wsgi`` have a span of
the middleware around the Router; ``bare`` has none. Without ``bridge.otel``: set
``BRIDGE_TEST_UNTRACED``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import flask
import flask_sock  # type: ignore[import-untyped]  # has no types
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiMiddleware
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.shim.opentracing_shim import create_tracer

import bridge
import bridge.otel
from bridge.contrib.django import get_asgi_application
from tests.harness.control import gate, report


class Reporter(SpanExporter):
    """Reports each span that ends, with the names of its exceptions."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            report(f"key-{span.context.trace_id:032x}", "span", span=facts(span))
        return SpanExportResult.SUCCESS


def facts(span: ReadableSpan) -> dict[str, Any]:
    return {
        "id": span.context.span_id,
        "parent": span.parent and span.parent.span_id,
        "name": span.name,
        "kind": span.kind.name,
        "scope": span.instrumentation_scope and span.instrumentation_scope.name,
        "status": span.status.status_code.name,
        "start": span.start_time,
        "end": span.end_time,
        "attributes": dict(span.attributes or {}),
        "exceptions": [dict(event.attributes or {})["exception.type"] for event in span.events],
    }


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Reporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("site")
legacy_tracer = create_tracer(provider)


def key_of_trace() -> str:
    return f"key-{trace.get_current_span().get_span_context().trace_id:032x}"


def work() -> str:
    with tracer.start_as_current_span("work"):
        return "done"


async def async_work() -> str:
    return work()


# Flask -------------------------------------------------------------------------------------------

flask_app = flask.Flask(__name__)


@flask_app.get("/view")
def flask_view() -> str:
    return work()


@flask_app.get("/held")
def flask_held() -> str:
    gate(key_of_trace(), "held")
    return work()


@flask_app.get("/stream")
def flask_stream() -> Iterator[str]:
    def lines() -> Iterator[str]:
        yield "one\n"
        yield work()

    return flask.stream_with_context(lines())


@flask_app.get("/crossing")
def flask_crossing() -> str:
    return bridge.async_to_sync(async_work)()


@flask_app.get("/opentracing")
def flask_opentracing() -> str:
    with legacy_tracer.start_active_span("legacy"):
        return work()


@flask_app.get("/error")
def flask_error() -> str:
    raise LookupError("nothing here")


FlaskInstrumentor().instrument_app(flask_app)  # type: ignore[no-untyped-call]  # has no types


sock_app = flask.Flask(f"{__name__}.sock")


@flask_sock.Sock(sock_app).route("/echo")  # type: ignore[untyped-decorator]  # has no types
def sock_echo(socket: Any) -> None:
    socket.send(work())


FlaskInstrumentor().instrument_app(sock_app)  # type: ignore[no-untyped-call]  # has no types


def wsgi_error(environ: Any, start_response: Any) -> Any:
    raise LookupError("nothing here")


# FastAPI -----------------------------------------------------------------------------------------

fastapi_app = FastAPI()


@fastapi_app.get("/view")
async def fastapi_view() -> str:
    return work()


@fastapi_app.get("/thread")
def fastapi_thread() -> str:
    return work()


@fastapi_app.get("/crossing")
async def fastapi_crossing() -> str:
    return await bridge.sync_to_async(work)()


@fastapi_app.get("/stream")
async def fastapi_stream() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        yield "one\n"
        yield work()

    return StreamingResponse(lines())


@fastapi_app.get("/background")
async def fastapi_background(tasks: BackgroundTasks) -> str:
    tasks.add_task(work)
    return "accepted"


@fastapi_app.get("/error")
async def fastapi_error() -> str:
    raise LookupError("nothing here")


@fastapi_app.websocket("/socket")
async def fastapi_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(work())
    await socket.close()


FastAPIInstrumentor.instrument_app(fastapi_app, exclude_spans=["receive", "send"])

# Django ------------------------------------------------------------------------------------------

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="not-a-secret")
DjangoInstrumentor().instrument()


def django_view(request: Any) -> HttpResponse:
    return HttpResponse(work())


async def django_async(request: Any) -> HttpResponse:
    return HttpResponse(work())


async def django_crossing(request: Any) -> HttpResponse:
    return HttpResponse(await bridge.sync_to_async(work)())


def django_stream(request: Any) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        yield "one\n"
        yield work()

    return StreamingHttpResponse(lines())


def django_error(request: Any) -> HttpResponse:
    raise LookupError("nothing here")


urlpatterns = [
    path("view", django_view),
    path("async", django_async),
    path("crossing", django_crossing),
    path("stream", django_stream),
    path("error", django_error),
]

# All together ------------------------------------------------------------------------------------

router = bridge.Router(
    {
        "/flask": flask_app,
        "/fastapi": fastapi_app,
        "/django": get_asgi_application(),
        "/wsgi-error": wsgi_error,
        "/sock": sock_app,
    },
    threads=1,
    websocket_threads=1,
)
asgi = AsgiMiddleware(router, exclude_spans=["receive", "send"])
wsgi = WsgiMiddleware(router)
bare = router

if "BRIDGE_TEST_UNTRACED" not in os.environ:
    bridge.otel.instrument(sync_calls=True)

"""The command ``opentelemetry-instrument`` switches the spans on, on servers and in ``bridge run``.

Its console exporter prints each span as JSON, in a batch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import LiveServer
from tests.harness.servers import SERVERS, Address, ServerSpec, serve
from tests.tracing.traces import headers_of

ENV = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
}
RUN = "bridge run"


def spec(name: str) -> ServerSpec:
    """A server, started by the command."""

    def command(at: Address, target: str) -> list[str]:
        if name == RUN:
            own = ["bridge", "run", target, "--port", str(at.port)]
        else:
            own = SERVERS[name].command(at, target)
        return ["tests.tracing.instrumented", sys.executable, "-m", *own]

    return ServerSpec(f"instrumented {name}", "asgi", command, inherits_socket=name != RUN)


def spans(log: str) -> Iterator[dict[str, Any]]:
    """The spans in a log: objects that begin in the first column."""
    decoder = json.JSONDecoder()
    for start, line in _lines(log):
        if line == "{":
            try:
                span, _ = decoder.raw_decode(log, start)
            except ValueError:  # not all of it is written yet
                return
            yield span


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, line.rstrip("\n")
        start += len(line)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "app", "expected"),
    [
        ("uvicorn-h11", "asgi", ["GET /view", "bridge.queue", "bridge.thread", "GET /view"]),
        ("gunicorn-gthread", "wsgi", ["GET /view", "bridge.queue", "bridge.loop", "GET /view"]),
        (RUN, "asgi", ["GET /view", "bridge.queue", "bridge.thread", "GET /view"]),
        (RUN, "app", ["GET /view"]),
    ],
)
def test_the_command_instruments_bridge(name: str, app: str, expected: list[str], key: str) -> None:
    with serve(spec(name), f"tests.tracing.auto_site:{app}", env=ENV) as server:
        live = LiveServer.of(server)
        assert live.client.fetch("GET", "/view", headers_of(key)).status == 200
        live.client.close()
        server.terminate()
        log = server.log()

    trace_id = f"0x{key.removeprefix('key-')}"
    found = [span for span in spans(log) if span["context"]["trace_id"] == trace_id]
    found.sort(key=lambda span: span["start_time"])
    names = [span["name"] for span in found if not span["name"].endswith("http send")]
    assert names == expected, log

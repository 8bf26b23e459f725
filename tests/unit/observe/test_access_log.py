"""The lines of the access log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import bridge
from bridge._observe.access_log import AccessLog, json_line, text_line


def record_of(**values: Any) -> bridge.RequestRecord:
    record = bridge.RequestRecord("http", method="GET", path="/shop", client="10.0.0.1")
    known = {"status": 200, "total_s": 0.0031, "queue_s": 0.0002, "thread_s": 0.0026}
    for name, value in {**known, "sent_bytes": 5120, **values}.items():
        setattr(record, name, value)
    return record


def test_a_text_line_has_the_fields_in_order() -> None:
    assert text_line(record_of(request_id="4f2c")) == (
        "10.0.0.1 GET /shop 200 total=3.1ms queue=0.2ms thread=2.6ms in=0 out=5120 id=4f2c"
    )


def test_a_text_line_shows_what_is_unknown_as_a_dash() -> None:
    record = record_of(client=None, status=None, queue_s=None, thread_s=None)

    assert text_line(record) == "- GET /shop - total=3.1ms queue=- thread=- in=0 out=5120"


def test_a_text_line_names_what_went_wrong() -> None:
    record = record_of(kind="websocket", disconnected=True, error="LookupError")

    assert text_line(record).endswith(" out=5120 websocket disconnected error=LookupError")


def test_the_wait_in_front_of_the_server_counts_as_queue_time() -> None:
    assert "queue=250.2ms" in text_line(record_of(proxy_wait_s=0.25))
    assert "queue=250.0ms" in text_line(record_of(proxy_wait_s=0.25, queue_s=None))
    assert json.loads(json_line(record_of(proxy_wait_s=0.25)))["queue_s"] == 0.2502


@pytest.mark.parametrize(
    "text", ["/a\nforged", "/a\r\n", "/\x1b[2J", "/\u2028", "/\u202e", "/a\x85"]
)
def test_a_path_cannot_forge_a_line(text: str) -> None:
    for line in (text_line(record_of(path=text)), json_line(record_of(path=text))):
        assert line.isprintable()
    assert json.loads(json_line(record_of(path=text)))["path"] == text


def test_a_path_cannot_forge_a_field_of_a_text_line() -> None:
    line = text_line(record_of(path="/a 200 total=1ms id=x"))

    assert line.startswith("10.0.0.1 GET '/a 200 total=1ms id=x' 200 total=3.1ms")


def test_a_long_path_is_cut() -> None:
    record = record_of(path="/" + "a" * 100_000, method="M" * 100_000)

    assert len(text_line(record)) < 1000
    assert len(json_line(record)) < 1000


def test_a_json_line_has_every_field() -> None:
    logged = json.loads(json_line(record_of(request_id="4f2c", error="LookupError")))

    assert logged.pop("time").endswith("+00:00")
    assert logged == {
        "kind": "http",
        "client": "10.0.0.1",
        "method": "GET",
        "path": "/shop",
        "status": 200,
        "total_s": 0.0031,
        "queue_s": 0.0002,
        "proxy_wait_s": 0.0,
        "thread_s": 0.0026,
        "received_bytes": 0,
        "sent_bytes": 5120,
        "disconnected": False,
        "error": "LookupError",
        "request_id": "4f2c",
    }


def test_a_line_of_ones_own_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bridge.access")

    AccessLog(lambda record: f"{record.path} % done").ended(record_of(path="/a\nb"))

    assert [each.getMessage() for each in caplog.records] == ["/a\\nb % done"]


def test_nothing_is_formatted_where_the_log_is_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "bridge.access")
    lines: list[str] = []

    def line(record: bridge.RequestRecord) -> str:
        lines.append("made")
        return ""

    AccessLog(line).ended(record_of())

    assert lines == []


def test_the_filter_adds_a_dash_outside_of_a_request() -> None:
    record = logging.makeLogRecord({"msg": "started"})

    assert bridge.RequestIdFilter().filter(record)

    assert record.__dict__["request_id"] == "-"

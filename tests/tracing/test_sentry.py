"""Sentry's SDK reports an error once, with its transaction and request, on each kind of server.

The Router of :mod:`tests.tracing.sentry_site` is on an ASGI server and on a WSGI server: each app
crosses on one of them, and is served as it is on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import LiveServer, Servers
from tests.harness.control import Control
from tests.harness.http import Aborted

UNKNOWN = "key-of-nothing"
SERVERS = ["uvicorn-h11", "gunicorn-gthread"]
FIELDS = [
    ("x-test", "1"),
    ("authorization", "Bearer sesame"),
    ("content-type", "application/json"),
]

ERRORS = [
    ("/flask/error", "flask_error"),
    ("/flask/crossing", "flask_crossing"),
    ("/fastapi/error", "/error/{key}"),
    ("/fastapi/thread", "/thread/{key}"),
    ("/fastapi/crossing", "/crossing/{key}"),
    ("/fastapi/background", "/background/{key}"),
    ("/django/error", "/error/{key}"),
    ("/django/async", "/async/{key}"),
    ("/plain-asgi", "/plain-asgi/plain-asgi/KEY"),  # Sentry adds root_path, which path has already
    ("/plain-wsgi", "generic WSGI request"),
]
STREAMS = [
    ("/flask/stream", "flask_stream"),
    ("/fastapi/stream", "/stream/{key}"),
    ("/django/stream", "/stream/{key}"),
]

Site = Callable[[str], LiveServer]


@pytest.fixture
def site(servers: Servers) -> Iterator[Site]:
    """The Router on a server, by its name."""
    with ExitStack() as stack:

        def get(name: str) -> LiveServer:
            live = LiveServer.of(servers.get(name, "tests.tracing.sentry_site:app", env={}))
            stack.callback(live.client.close)
            return live

        yield get


def reported(control: Control, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only event, and the only transaction, of a request."""
    control.expect(key, "transaction")
    [event], [transaction] = control.expect(key, "event"), control.reports(key, "transaction")
    return event["event"], transaction["event"]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(("path", "transaction"), ERRORS, ids=[path for path, _ in ERRORS])
def test_an_error_is_one_event_with_its_request(
    site: Site, control: Control, key: str, name: str, path: str, transaction: str
) -> None:
    is_post = path.endswith("/error")
    method, body = ("POST", b'{"a": 1}') if is_post else ("GET", None)

    response = site(name).client.fetch(method, f"{path}/{key}?page=2", FIELDS, body)

    assert response.status == (200 if "background" in path else 500)
    event, traced = reported(control, key)
    assert event["exceptions"] == [["LookupError", "nothing here", False]]
    assert event["transaction"] == traced["transaction"] == transaction.replace("KEY", key)
    assert event["trace"] == traced["trace"]
    assert event["tags"]["key"] == key
    assert event["url"].endswith(f"{path}/{key}")
    assert (event["method"], event["query"]) == (method, "page=2")
    assert event["data"] == ({"a": 1} if is_post else None)
    assert event["headers"] == {"x-test": "1", "authorization": "[Filtered]"}
    assert control.reports(UNKNOWN, "event") == []


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(("path", "transaction"), STREAMS, ids=[path for path, _ in STREAMS])
def test_an_error_within_a_stream_is_one_event(
    site: Site, control: Control, key: str, name: str, path: str, transaction: str
) -> None:
    with pytest.raises(Aborted):
        site(name).client.fetch("GET", f"{path}/{key}", FIELDS)

    event, traced = reported(control, key)
    assert event["exceptions"] == [["LookupError", "nothing here", False]]
    assert event["trace"] == traced["trace"]
    assert traced["transaction"] == transaction
    assert control.reports(UNKNOWN, "event") == []


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("path", "transaction"),
    [
        ("/flask/view", "flask_view"),
        ("/fastapi/view", "/view/{key}"),
        ("/django/view", "/view/{key}"),
    ],
)
def test_a_request_is_one_transaction(
    site: Site, control: Control, key: str, name: str, path: str, transaction: str
) -> None:
    trace_id = key.removeprefix("key-")
    parent = [("sentry-trace", f"{trace_id}-{'b' * 16}-1")]

    assert site(name).client.fetch("GET", f"{path}/{key}", parent).status == 200

    [traced] = control.expect(key, "transaction")
    assert traced["event"]["transaction"] == transaction
    assert traced["event"]["trace"] == trace_id
    assert control.reports(key, "event") == []
    assert control.reports(UNKNOWN, "event") == []

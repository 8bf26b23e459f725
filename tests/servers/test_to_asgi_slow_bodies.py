"""Clients that send a part of their body and wait, on each ASGI server.

daphne collects the whole body before it calls an app: no client of it takes a thread before that,
and no timeout of the adapter begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import BUFFERED, CONFORMANCE, THREADS, LiveServer, Servers, options
from tests.harness.control import Control
from tests.harness.http import Aborted, Exchange, Fields
from tests.harness.servers import ASGI_SERVERS, SERVERS, serve
from tests.servers.test_to_asgi_disconnect import assert_all_threads_serve

CLIENTS = 60
TIMEOUT_S = 1.0
GRACE_S = 5
LIMIT_S = 15.0
SIZED: Fields = [("content-length", "100000")]
EXPECT = ("expect", "100-continue")
COLLECTS_BODIES = "daphne"


@pytest.fixture(params=[name for name in ASGI_SERVERS if name != COLLECTS_BODIES])
def strict_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """An adapter that waits a second for more of a body."""
    env = options(threads=THREADS, body_timeout_s=TIMEOUT_S)
    live_server = LiveServer.of(servers.get(request.param, env=env))
    yield live_server
    live_server.client.close()
    assert not servers.pop_dead()


def start_upload(
    live_server: LiveServer, path: str, fields: Fields, sent: int, method: str = "POST"
) -> Exchange:
    exchange = live_server.client.open(method, path, fields, has_body=True)
    if sent:
        exchange.send(b"x" * sent)
    return exchange


@pytest.mark.parametrize("fields", [[], [("content-length", "2")]], ids=["chunked", "sized"])
def test_sixty_clients_that_send_one_byte_take_no_thread(
    live_server: LiveServer, control: Control, key: str, fields: Fields
) -> None:
    uploads = [
        start_upload(live_server, f"/upload/cut?key={key}", fields, 1) for _ in range(CLIENTS)
    ]

    assert_all_threads_serve(live_server, control, key)
    assert control.reports(key, "reading") == []

    for upload in uploads:
        upload.send(b"y")
        if not fields or live_server.client.http == "2":
            upload.end()
    assert [upload.read().json() for upload in uploads] == [{"length": 2}] * CLIENTS


def test_clients_that_wait_to_be_asked_leave_half_of_the_threads(
    http1_server: LiveServer, control: Control, key: str
) -> None:
    """The other half would serve all of them, one after another, if a client did not send."""
    uploads = [
        start_upload(http1_server, f"/upload/cut?key={key}", [("content-length", "2"), EXPECT], 0)
        for _ in range(CLIENTS)
    ]
    for upload in uploads:
        stream: Any = upload.stream  # type: ignore[attr-defined]  # Http1Exchange has it
        assert stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    assert len(control.reports(key, "reading")) <= THREADS // 2

    held = [http1_server.client.open("GET", f"/hold?key={key}") for _ in range(THREADS // 2)]
    control.expect_waiting(key, "hold", count=THREADS // 2)
    control.open(key, "hold")
    assert [exchange.read().status for exchange in held] == [200] * (THREADS // 2)

    for upload in uploads:
        upload.send(b"xy")
    assert [upload.read().json() for upload in uploads] == [{"length": 2}] * CLIENTS


@pytest.mark.parametrize("fields", [[], SIZED], ids=["chunked", "sized"])
@pytest.mark.parametrize("sent", [0, 1])
def test_a_client_that_stops_before_the_app_runs_gets_408(
    strict_server: LiveServer, control: Control, key: str, sent: int, fields: Fields
) -> None:
    upload = start_upload(strict_server, f"/upload/cut?key={key}", fields, sent)

    assert_timed_out(strict_server, upload)
    assert control.reports(key, "reading") == []
    assert "Traceback" not in strict_server.log()


@pytest.mark.parametrize("fields", [[], SIZED], ids=["chunked", "sized"])
def test_a_client_that_stops_while_the_app_reads_gets_408_and_its_thread_is_free(
    strict_server: LiveServer, control: Control, key: str, fields: Fields
) -> None:
    path = f"/upload/cut?key={key}"
    uploads = [start_upload(strict_server, path, fields, BUFFERED) for _ in range(THREADS)]
    control.expect(key, "reading", count=THREADS)

    for upload in uploads:
        assert_timed_out(strict_server, upload)
    for ended in control.expect(key, "ended", count=THREADS):
        assert ended["error"][:2] == ["BodyTimeout", "ClientDisconnected"]
        assert ended["length"] == BUFFERED
    assert_all_threads_serve(strict_server, control, key)
    assert "Traceback" not in strict_server.log()


def assert_timed_out(live_server: LiveServer, upload: Exchange) -> None:
    """The answer is 408, and over HTTP/1 the end of the connection."""
    response = upload.read()
    assert response.status == 408
    assert response.body == b"The request body did not arrive in time.\n"
    if live_server.client.http == "1.1":
        assert response.header("connection") == "close"
        stream: Any = upload.stream  # type: ignore[attr-defined]  # Http1Exchange has it
        assert stream.rest() == b""


def test_a_client_that_was_asked_and_sends_nothing_gets_408(
    strict_server: LiveServer, control: Control, key: str
) -> None:
    if strict_server.client.http == "2":  # the servers do not send 100 there
        return
    upload = start_upload(strict_server, f"/upload/cut?key={key}", [*SIZED, EXPECT], 0)
    control.expect(key, "reading")

    assert_timed_out(strict_server, upload)
    control.expect(key, "ended")
    assert_all_threads_serve(strict_server, control, key)


@pytest.mark.parametrize("then", ["continue", "raise"])
def test_a_response_that_has_begun_continues_or_is_aborted(
    strict_server: LiveServer, control: Control, key: str, then: str
) -> None:
    path = f"/upload/answered?key={key}&then={then}"
    upload = start_upload(strict_server, path, SIZED, BUFFERED)

    if then == "continue":
        assert upload.read().body == b"begun, and ended"
    else:
        with pytest.raises((Aborted, OSError)):
            upload.read()
    assert [ended["error"] for ended in control.expect(key, "ended")] == ["BodyTimeout"]
    assert_all_threads_serve(strict_server, control, key)


@pytest.mark.parametrize("sent", [BUFFERED - 1, BUFFERED, BUFFERED + 1])
@pytest.mark.parametrize("sized", [True, False])
def test_bodies_around_the_size_of_the_buffer_arrive(
    live_server: LiveServer, sent: int, sized: bool
) -> None:
    """Also those that end exactly there, and in a message of their own."""
    fields = [("content-length", str(sent))] if sized else []
    upload = start_upload(live_server, "/upload/unvalidated", fields, sent)
    if not sized or live_server.client.http == "2":
        upload.end()

    seen = upload.read().json()
    assert (seen["length"], seen["after"]) == (sent, 0)


def test_a_disconnect_before_the_app_runs_means_that_it_never_does(
    live_server: LiveServer, control: Control, key: str
) -> None:
    uploads = [
        start_upload(live_server, f"/upload/cut?key={key}", SIZED, 10) for _ in range(THREADS - 1)
    ]
    assert live_server.client.fetch("GET", "/").status == 200  # and the server has read the parts
    for upload in uploads:
        upload.disconnect()

    assert_all_threads_serve(live_server, control, key)
    assert control.reports(key, "reading") == []
    assert "Traceback" not in live_server.log()


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_a_shutdown_waits_for_a_body_no_longer_than_its_timeout(
    name: str, control: Control, key: str
) -> None:
    env = options(threads=THREADS, body_timeout_s=TIMEOUT_S)
    with serve(name, CONFORMANCE, env=env, args=SERVERS[name].grace(GRACE_S)) as server:
        live_server = LiveServer.of(server)
        for _ in range(THREADS):
            start_upload(live_server, f"/upload/cut?key={key}", SIZED, 10)
        assert live_server.client.fetch("GET", "/").status == 200

        server.terminate(LIMIT_S)

        live_server.client.close()
        assert control.reports(key, "reading") == []
        assert "Traceback" not in server.log()

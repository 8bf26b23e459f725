"""Apps that raise, and apps that violate PEP 3333, on each ASGI server.

The client gets a 500 if nothing was sent, otherwise an aborted response. The log has one traceback,
and the thread serves the next request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.apps.wsgi_faulty import FAULTS
from tests.conftest import CONFORMANCE, LiveServer, Servers, options, shared_server
from tests.harness.control import Control
from tests.harness.http import Aborted, Http1Client, exchange_raw
from tests.harness.servers import ASGI_SERVERS, SERVERS, serve

BEFORE = ["/error", "/error/after-head", "/error/first-chunk", "/error/after-empty-chunk"]
AFTER = ["/error/after-chunk", "/error/after-write", "/replace/late"]
HTTP_1 = [name for name in ASGI_SERVERS if SERVERS[name].http == "1.1"]
AT_ONCE = [name for name, fault in FAULTS.items() if not fault.aborts]
LATER = [name for name, fault in FAULTS.items() if fault.aborts]


def tracebacks(log: str, error: str) -> int:
    """The number of tracebacks that end with ``error``, with or without its module."""
    return len(re.findall(rf"^[ |]*(?:[\w.]+\.)?{error}", log, re.MULTILINE))


@pytest.fixture(params=[name for name in ASGI_SERVERS if name != "daphne"])
def aborting_server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[LiveServer]:
    """The servers that abort a response when the app raises; for daphne see the last test."""
    yield from shared_server(servers, request.param)


def assert_the_server_still_works(live_server: LiveServer) -> None:
    response = live_server.client.fetch("GET", "/")
    assert (response.status, response.body) == (200, b"ready")


@pytest.mark.parametrize("path", BEFORE)
def test_an_exception_before_the_first_byte_is_a_500(
    live_server: LiveServer, key: str, path: str
) -> None:
    response = live_server.client.fetch("GET", f"{path}?key={key}")

    assert response.status == 500
    assert response.header("x-never") is None
    assert_the_server_still_works(live_server)
    assert tracebacks(live_server.log(wait_for=f"Boom: {key}"), f"Boom: {key}") == 1


def test_a_base_exception_group_is_a_500(live_server: LiveServer, key: str) -> None:
    """It is no Exception. The log has it as it was raised, once."""
    if live_server.name == "gunicorn-asgi":  # as for a native app: it closes, and logs nothing
        with pytest.raises(Aborted):
            live_server.client.fetch("GET", f"/error/group?key={key}")
        assert_the_server_still_works(live_server)
        return
    response = live_server.client.fetch("GET", f"/error/group?key={key}")

    assert response.status == 500
    assert_the_server_still_works(live_server)
    error = f"BaseExceptionGroup: {key}"
    assert tracebacks(live_server.log(wait_for=error), error) == 1


@pytest.mark.parametrize("path", AFTER)
def test_an_exception_after_the_first_byte_aborts_the_response(
    aborting_server: LiveServer, control: Control, key: str, path: str
) -> None:
    exchange = aborting_server.client.open("GET", f"{path}?key={key}")
    assert exchange.chunk() == b"a part"
    control.open(key, "fail")

    with pytest.raises(Aborted):
        exchange.read()
    assert_the_server_still_works(aborting_server)
    assert tracebacks(aborting_server.log(wait_for=f"Boom: {key}"), f"Boom: {key}") == 1


def test_start_response_raises_exc_info_after_the_first_byte(
    aborting_server: LiveServer, control: Control, key: str
) -> None:
    exchange = aborting_server.client.open("GET", f"/replace/late?key={key}")
    exchange.chunk()
    control.open(key, "fail")

    (raised,) = control.expect(key, "raised")
    assert raised["message"] == key


def test_every_violation_before_the_first_byte_is_a_500(live_server: LiveServer, key: str) -> None:
    """Concurrently, because daphne checks for failed apps once a second."""
    exchanges = {
        name: live_server.client.open("GET", f"/faulty/{name}?key={key}") for name in AT_ONCE
    }

    responses = {name: exchange.read() for name, exchange in exchanges.items()}

    assert {name: response.status for name, response in responses.items()} == dict.fromkeys(
        AT_ONCE, 500
    )
    assert not [name for name, response in responses.items() if response.header_values("x-bad")]
    assert not [
        name for name, response in responses.items() if response.header_values("set-cookie")
    ]
    assert_the_server_still_works(live_server)
    log = live_server.log(wait_for="AppProtocolError: ", times=len(AT_ONCE))
    assert tracebacks(log, "AppProtocolError: ") == len(AT_ONCE)


@pytest.mark.parametrize("name", LATER)
def test_a_violation_after_the_first_byte_aborts_the_response(
    aborting_server: LiveServer, control: Control, key: str, name: str
) -> None:
    exchange = aborting_server.client.open("GET", f"/faulty/{name}?key={key}")
    assert exchange.chunk() == b"a part"
    control.open(key, "fail")

    with pytest.raises(Aborted) as aborted:
        exchange.read()
    assert b"text" not in aborted.value.body
    assert_the_server_still_works(aborting_server)
    assert tracebacks(aborting_server.log(wait_for="AppProtocolError: "), "AppProtocolError: ") == 1


def test_an_exception_in_close_is_logged_and_the_response_is_complete(
    live_server: LiveServer, control: Control, key: str
) -> None:
    response = live_server.client.fetch("GET", f"/faulty/close-raises?key={key}")

    assert (response.status, response.body) == (200, b"a part")
    control.expect(key, "closed")
    assert_the_server_still_works(live_server)
    assert tracebacks(live_server.log(wait_for=f"Boom: {key}"), f"Boom: {key}") == 1


def test_daphne_keeps_a_failed_response_open(control: Control, key: str) -> None:
    """daphne 4.2 cannot abort a response. ``Server.application_checker`` handles an exception with
    a second ``http.response.start``, which ``WebRequest.handle_reply`` refuses with ValueError, and
    the checker never runs again. The same happens with a native ASGI app. The response must not
    look complete.
    """
    with serve("daphne", CONFORMANCE, env=options(threads=2)) as server:
        exchange = Http1Client(server.port).open("GET", f"/error/after-chunk?key={key}")
        assert exchange.chunk() == b"a part"
        control.open(key, "fail")
        log = server.wait_for_log(f"Boom: {key}")

        exchange.stream.socket.settimeout(3)  # long enough for an end that must not arrive
        with pytest.raises(TimeoutError):
            exchange.read()
        exchange.close()
        assert tracebacks(log, f"Boom: {key}") == 1


@pytest.mark.parametrize("target", ["tests.apps.echoing:app", "tests.apps.echoing:router"])
@pytest.mark.parametrize("name", HTTP_1)
def test_a_refusal_of_a_malformed_body_is_logged_without_a_traceback(
    servers: Servers, name: str, target: str
) -> None:
    """The server has answered by itself when bridge does, and some raise an error then."""
    site = LiveServer.of(servers.get(name, target, env={}))
    head = b"POST http://h/ HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"

    answer = exchange_raw(site.port, head + b"zz\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n")

    assert site.client.fetch("GET", "/").status == 200
    assert b" 200 " not in answer
    assert "Traceback" not in site.log()

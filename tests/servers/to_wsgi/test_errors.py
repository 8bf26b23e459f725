"""ASGI apps that fail behind WSGI servers: their outcomes, each logged exactly once (P17).

The table of outcomes is in docs/explanation/asgi-to-wsgi-outcomes.md.
"""

from __future__ import annotations

import re

import pytest

from tests.apps.asgi_faulty import AFTER, BEFORE, MIDDLE
from tests.harness.control import Control
from tests.harness.http import Aborted
from tests.servers.to_wsgi.conftest import LiveWsgiServer, WsgiServers, options

LINES = {"boom": 1, "os": 2, "reset": 2}
"""The number of errors in a log: the app's, and for an OSError also its wrapper."""

STREAMING = ["gunicorn-sync", "gunicorn-gthread", "waitress", "werkzeug"]
"""Servers whose clients can detect an aborted response."""


def logged(live_server: LiveWsgiServer, text: str) -> int:
    """The number of lines in the server's log that contain the text."""
    return sum(text in line for line in live_server.log(wait_for=text).splitlines())


def raised(live_server: LiveWsgiServer, key: str, count: int = 1) -> list[str]:
    """The last lines of the tracebacks in the server's log with this message.

    :param count: how many to wait for: some servers write line by line.
    """
    lines = live_server.log(wait_for=f"{key}\n", times=count).splitlines()
    return [line for line in lines if re.fullmatch(rf"[\w.]+: .*{key}", line)]


def still_serves(live_server: LiveWsgiServer) -> bool:
    return live_server.client.fetch("GET", "/").body == b"ready"


@pytest.mark.parametrize("kind", LINES)
def test_an_exception_before_the_response_is_a_500_and_logged_once(
    wsgi_server: LiveWsgiServer, key: str, kind: str
) -> None:
    """Also an OSError, for which gunicorn would only close the connection."""
    response = wsgi_server.client.fetch("GET", f"/error/before?key={key}&kind={kind}")

    assert response.status == 500
    if wsgi_server.name != "granian-wsgi":  # it does not log exceptions of an app
        assert len(raised(wsgi_server, key, LINES[kind])) == LINES[kind]
    assert still_serves(wsgi_server)


def test_an_exception_before_the_body_is_a_500(wsgi_server: LiveWsgiServer, key: str) -> None:
    assert wsgi_server.client.fetch("GET", f"/error/start?key={key}").status == 500
    assert still_serves(wsgi_server)


@pytest.mark.parametrize("name", STREAMING)
@pytest.mark.parametrize("kind", LINES)
def test_an_exception_after_the_first_chunk_aborts_the_response_and_is_logged_once(
    wsgi_servers: WsgiServers, name: str, key: str, kind: str
) -> None:
    live_server = wsgi_servers.get(name)
    with pytest.raises(Aborted) as caught:
        live_server.client.fetch("GET", f"/error/middle?key={key}&kind={kind}")

    assert caught.value.body == b"first"
    assert len(raised(live_server, key, LINES[kind])) == LINES[kind]
    assert still_serves(live_server)


def test_an_exception_after_the_response_is_only_logged_once(
    wsgi_server: LiveWsgiServer, key: str
) -> None:
    response = wsgi_server.client.fetch("GET", f"/error/after?key={key}")

    assert (response.status, response.body) == (200, b"complete")
    assert len(raised(wsgi_server, key)) == 1
    assert still_serves(wsgi_server)


def test_system_exit_in_an_app_is_a_500(wsgi_server: LiveWsgiServer, key: str) -> None:
    """waitress never responds if a WSGI app raises SystemExit."""
    assert wsgi_server.client.fetch("GET", f"/exit?key={key}").status == 500
    assert still_serves(wsgi_server)


# -- violations of the specification ---------------------------------------------------------------


@pytest.mark.parametrize("name", BEFORE)
def test_a_violation_before_the_body_is_a_500_and_logged(
    gthread_server: LiveWsgiServer, name: str
) -> None:
    assert gthread_server.client.fetch("GET", f"/faulty/{name}").status == 500
    assert logged(gthread_server, BEFORE[name][1]) == 1
    assert still_serves(gthread_server)


def test_a_control_character_in_a_header_is_a_500_that_names_it(
    wsgi_server: LiveWsgiServer,
) -> None:
    assert wsgi_server.client.fetch("GET", "/faulty/control_header").status == 500
    if wsgi_server.name != "granian-wsgi":  # it does not log exceptions of an app
        assert logged(wsgi_server, BEFORE["control_header"][1]) == 1
    assert still_serves(wsgi_server)


@pytest.mark.parametrize("name", MIDDLE)
def test_a_violation_after_the_first_chunk_aborts_the_response(
    gthread_server: LiveWsgiServer, name: str
) -> None:
    with pytest.raises(Aborted):
        gthread_server.client.fetch("GET", f"/faulty/{name}")

    assert logged(gthread_server, MIDDLE[name][1]) == 1
    assert still_serves(gthread_server)


@pytest.mark.parametrize("name", AFTER)
def test_a_violation_after_the_response_is_logged(
    gthread_server: LiveWsgiServer, name: str
) -> None:
    response = gthread_server.client.fetch("GET", f"/faulty/{name}")

    assert (response.status, response.body) == (200, b"fine")
    assert logged(gthread_server, AFTER[name][1]) == 1
    assert still_serves(gthread_server)


# -- timeouts --------------------------------------------------------------------------------------


def test_a_request_longer_than_task_timeout_s_is_a_500(wsgi_servers: WsgiServers, key: str) -> None:
    live_server = wsgi_servers.get("gunicorn-gthread", env=options(task_timeout_s=0.2))

    assert live_server.client.fetch("GET", f"/hold?key={key}").status == 500
    assert logged(live_server, "took longer than task_timeout_s=0.2") == 1


def test_background_work_is_cancelled_after_task_timeout_s(
    wsgi_servers: WsgiServers, key: str
) -> None:
    """The timeout starts with the request, so a slow machine needs a part of it to respond."""
    live_server = wsgi_servers.get("gunicorn-gthread", env=options(task_timeout_s=3))

    assert live_server.client.fetch("POST", f"/background?key={key}", body=b"").status == 202
    assert logged(live_server, "was cancelled after task_timeout_s=3") == 1


def test_an_app_that_blocks_the_loop_is_logged_with_its_line(
    gthread_server: LiveWsgiServer,
) -> None:
    response = gthread_server.client.fetch("GET", "/block?s=3.5")

    assert response.body == b"blocked", "the response must arrive"
    assert logged(gthread_server, "the event loop has been blocked for more than 1 s") == 1
    gthread_server.server.wait_for_log("in block\n    time.sleep(")


def test_gunicorn_aborts_a_hung_worker_and_starts_another(
    wsgi_servers: WsgiServers, control: Control, key: str
) -> None:
    """SIGABRT interrupts the sync worker's main thread, which waits for the app; its handler exits.

    An idle worker notifies the arbiter every half ``--timeout``, so the other half is its slack.
    """
    live_server = wsgi_servers.get("gunicorn-sync", args=("--timeout", "4"))
    exchange = live_server.client.open("GET", f"/hold?key={key}")
    control.expect_waiting(key, "hold")

    assert exchange.read().status == 500
    assert still_serves(live_server)
    live_server.server.wait_for_log("WORKER TIMEOUT")


def test_a_base_exception_group_before_the_response_is_a_500(
    wsgi_server: LiveWsgiServer, key: str
) -> None:
    """It is no Exception: waitress alone would never answer, Werkzeug only close the connection."""
    response = wsgi_server.client.fetch("GET", f"/error/before?key={key}&kind=group")

    assert response.status == 500
    assert still_serves(wsgi_server)
    if wsgi_server.name != "granian-wsgi":  # it does not log exceptions of an app
        error = f"BaseExceptionGroup: {key} (1 sub-exception)\n"
        assert wsgi_server.log(wait_for=error).count(error) == 1

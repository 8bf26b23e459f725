"""Async iterators behind middleware that is sync-only: the event loop sends them.

What a stream sees is compared with Django's own ASGI handler, and with bridge's async side.
"""

from __future__ import annotations

import random
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from tests.conftest import LiveServer
from tests.django.conftest import TARGET, Projects
from tests.django.names import STARTPROJECT
from tests.django.test_decision import ask
from tests.django.test_middleware import sqlite
from tests.harness.control import Control
from tests.harness.http import Aborted, Exchange

THREADS = 2
MANY = 1000
HERE = "tests.django.streams"
HANDLERS = "tests.django.handlers"

SYNC_ONLY = {"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.keyed_sync"]}
BOTH = {"MIDDLEWARE": [*STARTPROJECT, f"{HERE}.keyed"]}
MIXED = {"MIDDLEWARE": [f"{HERE}.keyed", *STARTPROJECT, f"{HERE}.keyed_sync", f"{HERE}.keyed"]}

PROJECTS: dict[str, tuple[dict[str, Any], str]] = {
    "hybrid": (SYNC_ONLY, TARGET),
    "hybrid-mixed": (MIXED, TARGET),
    "to_asgi": (SYNC_ONLY, f"{HANDLERS}:adapted_on_two"),
    "Router": (SYNC_ONLY, f"{HANDLERS}:routed_on_two"),
    "hybrid-async-side": (BOTH, TARGET),
    "native": (SYNC_ONLY, f"{HANDLERS}:native_asgi"),
}
OURS = ["hybrid", "to_asgi"]
NO_THREAD = [*OURS, "hybrid-mixed", "Router", "hybrid-async-side"]
CANCELLING = [*NO_THREAD, *(["native"] if django.VERSION >= (5, 0) else [])]
"""Django 4.2 itself lets a stream run on without its client."""


@pytest.fixture
def site(request: pytest.FixtureRequest, project: Projects, database: Path) -> LiveServer:
    settings, target = PROJECTS[getattr(request, "param", "hybrid")]
    return project(
        {**settings, "DATABASES": sqlite(database)},
        {"threads": THREADS},
        target=target,
        env={"BRIDGE_TEST_MIGRATE": "1"},
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


def on(*projects: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", projects, indirect=True)


def stream(site: LiveServer, kind: str, key: str, **headers: str) -> Exchange:
    fields = [(f"x-{name}", value) for name, value in headers.items()]
    return site.client.open("GET", f"/streams/{kind}/{key}/", fields)


def running(site: LiveServer, key: str) -> int:
    count: int = ask(site, f"/streams/count/{key}/")["running"]
    return count


@on(*NO_THREAD)
def test_streams_take_no_thread(site: LiveServer, key: str) -> None:
    """Three times as many streams as threads, and pages meanwhile."""
    streams = [stream(site, "quiet", key) for _ in range(3 * THREADS)]
    assert {each.chunk() for each in streams} == {b"first;"}

    assert running(site, key) == len(streams)

    site.client.fetch("GET", f"/streams/open/{key}/")
    assert [each.read().body for each in streams] == [b"last;"] * len(streams)
    assert running(site, key) == 0


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room for the test's sockets, and for the server's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * MANY + 500
    if hard not in (resource.RLIM_INFINITY,) and hard < needed:
        pytest.skip(f"needs {needed} descriptors; this process may have {hard}")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_streams_and_pages_meanwhile(
    descriptors: None, project: Projects, key: str
) -> None:
    site = project(SYNC_ONLY, {"threads": 4})
    threads = ask(site, f"/streams/count/{key}/")["threads"]
    streams = [stream(site, "quiet", key) for _ in range(MANY)]
    assert {each.chunk() for each in streams} == {b"first;"}

    for _ in range(20):
        seen = ask(site, f"/streams/count/{key}/")
        assert seen["running"] == MANY
        assert seen["threads"] - threads < 4

    for each in streams[::2]:
        each.disconnect()
    site.client.fetch("GET", f"/streams/open/{key}/")
    assert [each.read().body for each in streams[1::2]] == [b"last;"] * (MANY // 2)
    assert running(site, key) == 0


@on(*PROJECTS)
def test_a_stream_runs_on_the_loop_in_the_context_of_its_request(
    site: LiveServer, control: Control, key: str
) -> None:
    exchange = stream(site, "held", key)
    assert exchange.chunk() == b"first;"
    site.client.fetch("GET", f"/streams/open/{key}/")
    assert exchange.read().body == b"last;"

    [began] = control.expect(key, "began")
    [ended] = control.expect(key, "ended")
    [closed] = control.expect(key, "closed")
    assert began["loop"] == ended["loop"] != None  # noqa: E711
    assert began["thread"] == ended["thread"] == "MainThread"
    assert began["at"] <= ended["at"] <= closed["at"]
    assert closed["loop"] is None
    assert closed["thread"] != "MainThread"


@on(*OURS, "hybrid-mixed")
def test_close_and_request_finished_run_once_in_the_same_context(
    site: LiveServer, control: Control, key: str
) -> None:
    """Under Django's ASGI handler they do not see what middleware and view have set."""
    exchange = stream(site, "held", key)
    exchange.chunk()
    exchange.disconnect()

    [finished] = control.expect(key, "finished")
    [closed] = control.expect(key, "closed")
    assert closed["in_context"] is True
    assert closed["thread"] == finished["thread"]
    assert closed["at"] <= finished["at"]
    ask(site, f"/streams/count/{key}/")
    assert len(control.reports(key, "finished")) == len(control.reports(key, "closed")) == 1


@on(*CANCELLING)
def test_a_disconnect_cancels_a_stream_that_waits(
    site: LiveServer, control: Control, key: str
) -> None:
    exchange = stream(site, "held", key)
    assert exchange.chunk() == b"first;"

    exchange.disconnect()

    [raised] = control.expect(key, "raised")
    assert (raised["error"], raised["thread"]) == ("CancelledError", "MainThread")
    control.expect(key, "closed")
    assert running(site, key) == 0
    assert len(control.reports(key, "ended")) == 1


@on(*OURS, "hybrid-async-side")
def test_a_client_that_does_not_read_pauses_a_stream(
    site: LiveServer, control: Control, key: str
) -> None:
    exchange = stream(site, "endless", key)
    assert exchange.chunk()
    assert running(site, key) == 0  # a page is answered

    exchange.disconnect()

    [raised] = control.expect(key, "raised")
    assert raised["error"] in ("CancelledError", "GeneratorExit")
    [ended] = control.expect(key, "ended")
    assert ended["thread"] == "MainThread"
    control.expect(key, "closed")


@on(*OURS)
def test_an_error_in_a_stream_cuts_the_response(
    site: LiveServer, control: Control, key: str
) -> None:
    exchange = stream(site, "failing", key)
    assert exchange.chunk() == b"first;"
    with pytest.raises(Aborted):
        exchange.read()

    control.expect(key, "closed")
    assert site.log("the tide is out").count("ValueError: the tide is out") == 1


@on(*OURS)
@pytest.mark.parametrize(("length", "body"), [("6", b"abcdef"), ("4", b"abcd")])
def test_a_stream_is_as_long_as_its_content_length(
    site: LiveServer, control: Control, key: str, length: str, body: bytes
) -> None:
    response = stream(site, "sized", key, length=length).read()

    assert (response.header("content-length"), response.body) == (length, body)
    control.expect(key, "closed")


@on(*OURS)
def test_a_stream_that_is_too_short_is_cut(site: LiveServer, control: Control, key: str) -> None:
    with pytest.raises(Aborted):
        stream(site, "sized", key, length="7").read()

    control.expect(key, "closed")


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@on(*OURS)
def test_what_a_stream_does_after_its_last_byte_is_not_cancelled(
    site: LiveServer, control: Control, key: str, leaves: bool
) -> None:
    """Servers report a disconnect as soon as a response is complete."""
    exchange = stream(site, "overtime", key)
    assert exchange.read().body == b"whole"
    if leaves:
        exchange.disconnect()
    for _ in range(3):
        ask(site, f"/streams/count/{key}/")

    site.client.fetch("GET", f"/streams/open/{key}/")

    control.expect(key, "closed")
    assert len(control.reports(key, "ended")) == 1
    assert control.reports(key, "raised") == []


@on(*OURS)
def test_the_answer_to_head_does_not_run_the_stream(
    site: LiveServer, control: Control, key: str
) -> None:
    response = site.client.fetch("HEAD", f"/streams/held/{key}/")

    assert (response.status, response.body) == (200, b"")
    control.expect(key, "finished")
    assert control.reports(key, "began") == []


@on(*PROJECTS)
def test_the_connections_of_a_view_and_of_its_stream_are_closed(
    site: LiveServer, control: Control, key: str
) -> None:
    """The view's before the stream begins, since its thread serves others then."""
    assert stream(site, "queries", key).read().body == b"queried;" * 2

    control.expect(key, "closed")
    [view] = control.expect(key, "view")
    first, second = control.expect(key, "query", count=2)
    assert first["on"] == second["on"], "the sync code of a stream runs on one thread"
    used = {view["in_view"], first["on"]}
    disconnected = control.expect(key, "disconnected", count=len(used))
    assert {each["thread"] for each in disconnected} == used


@on("hybrid")
def test_the_connection_of_a_view_is_closed_before_its_stream_begins(
    site: LiveServer, control: Control, key: str
) -> None:
    stream(site, "queries", key).read()

    first, _ = control.expect(key, "disconnected", count=2)
    [view] = control.expect(key, "view")
    query, _ = control.expect(key, "query", count=2)
    assert first["thread"] == view["in_view"] != query["on"]
    assert first["at"] < query["at"]


@on(*OURS)
def test_slow_clients_of_a_file_take_no_thread(
    site: LiveServer, control: Control, key: str, tmp_path: Path
) -> None:
    """Nor does the file keep the database connection of the view."""
    content = random.Random(1).randbytes(2**24)  # more than the sockets of a connection buffer
    (tmp_path / "file").write_bytes(content)
    clients = [stream(site, "file", key, file=str(tmp_path / "file")) for _ in range(3 * THREADS)]
    for each in clients:
        assert each.head().status == 200

    assert running(site, key) == 0  # a page is answered
    control.expect(key, "disconnected", count=len(clients))
    assert control.reports(key, "closed") == []

    clients.pop().disconnect()
    assert all(each.read().body == content for each in clients)
    closed = control.expect(key, "closed", count=len(clients) + 1)
    assert {each["in_context"] for each in closed} == {True}


@on(*(name for name in CANCELLING if name in ("hybrid", "to_asgi", "native")))
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_middleware_that_wraps_async_content_is_streamed(
    project: Projects, site: LiveServer, control: Control, key: str, coding: str
) -> None:
    """GZipMiddleware, ConditionalGetMiddleware, and one of the project's own."""
    settings = {
        "MIDDLEWARE": [
            "django.middleware.gzip.GZipMiddleware",
            "django.middleware.http.ConditionalGetMiddleware",
            f"{HERE}.keyed_sync",
            f"{HERE}.wrap_async",
        ]
    }
    target = site.server.target
    wrapped = project(settings, {"threads": 1}, target=target)
    exchange = wrapped.client.open("GET", f"/streams/held/{key}/", [("accept-encoding", coding)])
    first = exchange.chunk()
    assert first == b"<first;>" if coding == "identity" else first.startswith(b"\x1f\x8b")
    assert running(wrapped, key) == 1

    exchange.disconnect()

    control.expect(key, "ended")
    control.expect(key, "closed")


def test_a_sync_generator_around_async_content_fails_as_under_django(
    project: Projects, key: str
) -> None:
    settings = {"MIDDLEWARE": [f"{HERE}.keyed_sync", f"{HERE}.wrap_sync"]}
    site = project(settings, {"threads": 1})

    assert stream(site, "wrapped", key).read().status == 500
    assert "'async_generator' object is not iterable" in site.log()


def test_views_that_hold_a_thread_are_named_at_start_up(site: LiveServer) -> None:
    site.client.fetch("GET", "/sync/")
    log = site.server.log()

    named = re.findall(rf"each client of {HERE}\.(\w+) holds a thread .* have {THREADS}:", log)
    assert named == ["module_events", "nested_events", "ClassEvents"]


@pytest.fixture
def graceful(project: Projects) -> Iterator[LiveServer]:
    site = project(SYNC_ONLY, {"threads": THREADS}, args=("--timeout-graceful-shutdown", "1"))
    yield site
    site.server.kill()


def test_sigterm_cancels_streams(graceful: LiveServer, control: Control, key: str) -> None:
    streams = [stream(graceful, "held", key) for _ in range(3)]
    assert {each.chunk() for each in streams} == {b"first;"}

    ended = graceful.server.terminate(15)

    assert ended.exit_code in (0, -15)
    for name in ("ended", "closed", "finished"):
        assert len(control.reports(key, name)) == len(streams)


@pytest.fixture
def with_sentry(project: Projects) -> LiveServer:
    """Sentry wraps each response of Django's WSGI handler."""
    return project(SYNC_ONLY, {"threads": 1}, target="tests.django.sentry:app")


def test_streams_take_no_thread_with_sentry(with_sentry: LiveServer, key: str) -> None:
    streams = [stream(with_sentry, "quiet", key) for _ in range(3)]
    assert {each.chunk() for each in streams} == {b"first;"}

    assert running(with_sentry, key) == len(streams)


def test_sentry_gets_the_error_of_a_stream_once(
    with_sentry: LiveServer, control: Control, key: str
) -> None:
    with pytest.raises(Aborted):
        stream(with_sentry, "failing", key).read()

    control.expect(key, "closed")
    [event] = control.expect(key, "event")
    assert event["errors"] == ["the tide is out"]

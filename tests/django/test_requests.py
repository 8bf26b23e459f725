"""Requests and responses on both sides: mount points, bodies, streams, static files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest

from tests.conftest import LiveServer
from tests.django.conftest import Projects
from tests.django.test_decision import ask
from tests.harness.control import Control
from tests.harness.http import Response

PATHS = ["/sync/", "/async/"]
LINKS = {"static": "/shop/static/a.css", "media": "/shop/media/a.png"}


@pytest.mark.parametrize("path", PATHS)
def test_the_servers_mount_point_is_not_part_of_path_info(project: Projects, path: str) -> None:
    site = project(args=("--root-path", "/shop"))

    seen = ask(site, path)

    assert (seen["path"], seen["path_info"]) == (f"/shop{path}", path)
    assert seen["kind"] in path


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("script_name", ["/shop", "/shop/"])
def test_force_script_name_is_the_mount_point(
    project: Projects, script_name: str, path: str
) -> None:
    """Whether or not the proxy strips it from the path."""
    site = project({"FORCE_SCRIPT_NAME": script_name})

    for requested in (path, f"/shop{path}"):
        seen = ask(site, requested)
        assert (seen["path"], seen["path_info"]) == (f"/shop{path}", path)
        assert seen["kind"] in path


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_force_script_name_is_no_mount_point(project: Projects, path: str) -> None:
    site = project({"FORCE_SCRIPT_NAME": ""}, args=("--root-path", "/shop"))

    seen = ask(site, path)

    assert (seen["path"], seen["path_info"]) == (path, path)
    assert seen["kind"] in path


@pytest.fixture
def reading_site(project: Projects) -> LiveServer:
    """The project, with views that run with the first bytes of a request body."""
    return project(options={"buffer_request_bytes": 0})


def test_a_body_without_a_length_arrives(
    reading_site: LiveServer, control: Control, key: str
) -> None:
    exchange = reading_site.client.open("POST", "/echo/", [("x-key", key)], has_body=True)
    exchange.send(b"in ")
    control.expect(key, "reading")  # so the rest cannot have arrived with the first piece
    exchange.send(b"pieces")
    exchange.end()

    assert exchange.read().json()["body"] == "in pieces"


def test_a_body_without_a_length_has_the_usual_limit(
    reading_site: LiveServer, control: Control, key: str
) -> None:
    announced = reading_site.client.fetch("POST", "/echo/", body=b"x" * 1001)
    exchange = reading_site.client.open("POST", "/echo/", [("x-key", key)], has_body=True)
    exchange.send(b"x" * 500)
    control.expect(key, "reading")
    exchange.send(b"x" * 501)
    exchange.end()

    assert announced.status in (400, 413)  # before Django 6 and since
    assert exchange.read().status == announced.status


def in_pieces(
    site: LiveServer,
    control: Control,
    key: str,
    path: str,
    pieces: tuple[bytes, bytes],
    *fields: Any,
) -> Response:
    """The answer to a chunked request whose second piece is sent while the view reads."""
    exchange = site.client.open("POST", path, [("x-key", key), *fields], has_body=True)
    exchange.send(pieces[0])
    control.expect(key, "reading")
    exchange.send(pieces[1])
    exchange.end()
    return exchange.read()


def test_a_body_without_a_length_can_be_read_as_a_file_of_any_size(
    reading_site: LiveServer, control: Control, key: str
) -> None:
    """``DATA_UPLOAD_MAX_MEMORY_SIZE`` limits only ``request.body`` and forms."""
    answer = in_pieces(reading_site, control, key, "/read/", (b"x" * 600, b"x" * 600))

    assert (answer.status, answer.json()) == (200, {"length": 1200})


FORM = (
    b"--b\r\ncontent-disposition: form-data; name=cargo\r\n\r\ntea\r\n"
    b"--b\r\ncontent-disposition: form-data; name=log; filename=log.txt\r\n\r\ncalm\r\n--b--\r\n"
)


@pytest.mark.parametrize("fields", [[], [("x-body-first", "yes")]], ids=["", "after its body"])
def test_an_upload_without_a_length_arrives(
    reading_site: LiveServer, control: Control, key: str, fields: list[tuple[str, str]]
) -> None:
    form = ("content-type", "multipart/form-data; boundary=b")
    answer = in_pieces(
        reading_site, control, key, "/upload/", (FORM[:50], FORM[50:]), form, *fields
    )

    assert answer.json() == {"fields": {"cargo": "tea"}, "files": {"log": "calm"}}


def test_an_upload_without_a_length_can_be_empty(
    reading_site: LiveServer, control: Control, key: str
) -> None:
    form = ("content-type", "multipart/form-data; boundary=b")
    answer = in_pieces(reading_site, control, key, "/upload/", (b"--b--\r\n", b""), form)

    assert answer.json() == {"fields": {}, "files": {}}


@pytest.mark.parametrize("options", [{}, {"buffer_request_bytes": 0}], ids=["buffered", "read"])
def test_a_body_that_stops_is_answered_with_408_instead_of_a_500(
    project: Projects, control: Control, key: str, options: dict[str, int]
) -> None:
    site = project(options={"body_timeout_s": 1, **options})
    exchange = site.client.open("POST", "/echo/", [("x-key", key)], has_body=True)
    exchange.send(b"in ")

    assert exchange.read().status == 408
    assert len(control.reports(key, "reading")) == len(options)


@pytest.mark.parametrize("name", ["adapted", "routed", "with_static_files"])
def test_djangos_own_wsgi_handler_reads_a_body_without_a_length(
    project: Projects, control: Control, key: str, name: str
) -> None:
    """Also through `to_asgi` and a Router, in one message or in several."""
    site = project(target=f"tests.django.handlers:{name}")

    assert in_pieces(site, control, key, "/read/", (b"in ", b"pieces")).json() == {"length": 9}


def test_a_request_without_a_body_has_an_empty_one(site: LiveServer) -> None:
    assert ask(site, "/echo/")["body"] == ""


def test_a_sync_view_sees_the_scope(site: LiveServer) -> None:
    assert ask(site, "/scope/") == {"type": "http", "state": "{'tide': 'high'}"}


def closed_stream(site: LiveServer, control: Control, key: str, kind: str) -> dict[str, Any]:
    """The report of a stream at its end. Its first chunk is sent before the second is made."""
    exchange = site.client.open("GET", f"/stream/{kind}/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"
    control.expect_waiting(key, "chunk")
    control.open(key, "chunk")

    assert exchange.read().body == b"1;2;"
    [closed] = control.expect(key, "closed")
    return closed


def test_the_first_chunk_of_an_async_stream_is_sent_before_the_second_is_made(
    site: LiveServer, control: Control, key: str
) -> None:
    closed = closed_stream(site, control, key, "async")
    assert (closed["request"], closed["thread"]) == ("ASGIRequest", "MainThread")


def test_a_sync_stream_of_an_async_view_runs_on_the_thread_of_the_request(
    site: LiveServer, control: Control, key: str
) -> None:
    """That thread has the request's database connections."""
    closed = closed_stream(site, control, key, "mixed")
    assert (closed["request"], closed["is_same"]) == ("ASGIRequest", True)


def test_a_file_of_an_async_view_is_read_as_it_is_sent_and_closed(
    site: LiveServer, control: Control, key: str
) -> None:
    """Of 64 MiB less than half is read after an early disconnect, whatever the sockets buffer."""
    exchange = site.client.open("GET", f"/stream/file/{key}/")
    assert exchange.chunk()

    exchange.close()

    [closed] = control.expect(key, "closed")
    assert closed["read"] < 2**25


def test_a_disconnect_closes_a_sync_stream_on_its_thread(
    site: LiveServer, control: Control, key: str
) -> None:
    exchange = site.client.open("GET", f"/stream/sync/{key}/")
    control.release(key, "chunk")
    assert exchange.chunk() == b"0;"

    exchange.close()
    control.open(key, "chunk")

    [closed] = control.expect(key, "closed")
    assert closed["thread"].startswith("bridge-worker-")


@pytest.fixture
def in_debug(project: Projects) -> LiveServer:
    return project({"DEBUG": True}, {"threads": 7})


def test_the_hops_of_djangos_own_handler_are_logged_at_startup(in_debug: LiveServer) -> None:
    """16 for startproject's seven, 2 for LocaleMiddleware, 1 for OtherUrlconf."""
    log = in_debug.server.log()

    assert log.count("Sync views run on 7 worker threads") == 1
    assert "the 9 middleware of this project would cost each of their requests 19" in log


def test_static_files_are_served_while_debug_is_on(in_debug: LiveServer) -> None:
    style = in_debug.client.fetch("GET", "/static/admin/css/base.css")

    assert style.status == 200
    assert style.header("content-type") == "text/css"
    assert in_debug.client.fetch("GET", "/static/nothing.css").status == 404
    assert in_debug.client.fetch("GET", "/static/shadowed/").status == 404  # not the async view


def test_static_files_are_below_the_mount_point(project: Projects) -> None:
    site = project({"DEBUG": True}, args=("--root-path", "/shop"))

    assert site.client.fetch("GET", "/static/admin/css/base.css").status == 200


@pytest.mark.parametrize(
    ("settings", "args"),
    [({}, ("--root-path", "/shop")), ({"FORCE_SCRIPT_NAME": "/shop"}, ())],
    ids=["root_path", "FORCE_SCRIPT_NAME"],
)
def test_links_to_files_begin_with_the_mount_point(
    project: Projects, settings: dict[str, str], args: tuple[str, ...]
) -> None:
    """Also where the URLconf has ``static(settings.MEDIA_URL)``."""
    site = project({"DEBUG": True, **settings}, args=args)

    assert ask(site, "/links/") == LINKS


def test_static_files_are_not_served_without_debug(site: LiveServer) -> None:
    assert site.client.fetch("GET", "/static/admin/css/base.css").status == 404
    assert ask(site, "/static/shadowed/")["request"] == "ASGIRequest"


def test_threads_and_backlog_limit_sync_views(
    project: Projects, control: Control, key: str
) -> None:
    site = project(options={"threads": 1, "backlog": 1})
    first = site.client.open("GET", f"/stream/sync/{key}/")
    control.expect_waiting(key, "chunk")

    with ThreadPoolExecutor(2) as two:  # the backlog has room for one
        fetched = [two.submit(site.client.fetch, "GET", "/sync/") for _ in range(2)]
        assert next(as_completed(fetched)).result().status == 503
        assert ask(site, "/async/")["kind"] == "async"  # does not need a thread
        control.open(key, "chunk")

    assert {each.result().status for each in fetched} == {200, 503}
    assert first.read().body == b"0;1;2;"


@pytest.mark.parametrize(
    ("kind", "request_class"), [("sync", "BridgedRequest"), ("async", "ASGIRequest")]
)
def test_a_hop_by_hop_header_is_not_an_error(
    site: LiveServer, kind: str, request_class: str
) -> None:
    assert ask(site, f"/kept-alive/{kind}/")["request"] == request_class


@pytest.mark.parametrize("path", PATHS)
def test_a_header_with_an_underscore_is_dropped(site: LiveServer, path: str) -> None:
    assert ask(site, path, ("x_spoofed", "yes"))["spoofed"] is None
    assert ask(site, path, ("x-spoofed", "yes"))["spoofed"] == "yes"


@pytest.mark.parametrize("path", PATHS)
def test_a_header_with_an_underscore_can_be_refused(project: Projects, path: str) -> None:
    site = project(options={"underscore_headers": "refuse"})

    assert site.client.fetch("GET", path, [("x_spoofed", "yes")]).status == 400
    assert ask(site, path)["kind"] in path


def test_a_body_longer_than_its_length_is_cut_with_a_warning(project: Projects) -> None:
    site = project()

    assert site.client.fetch("GET", "/too-long/").body == b"0123"
    log = site.log(wait_for="sent more than its Content-Length of 4 bytes for /too-long/")
    assert "Traceback" not in log


def test_a_body_longer_than_its_length_is_an_error_with_strict(project: Projects) -> None:
    site = project(options={"strict": True})

    assert site.client.fetch("GET", "/too-long/").status == 500
    assert "longer than its Content-Length" in site.log(wait_for="AppProtocolError")

"""The Flask example on uvicorn, through bridge, over plain HTTP."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import LiveServer
from tests.examples.conftest import TIMEOUT_S, visitor
from tests.examples.pages import Page
from tests.examples.projects import FLASK_APP
from tests.harness.servers import Server, serve

PAGES = ["/", "/log", "/live", "/cargo", "/tides", "/weather", "/api"]
MIB = 1024 * 1024

MORE_THAN_THE_BUFFER = 70_000
"""Bytes of a body after which the app runs, whatever of it is missing."""


@pytest.mark.parametrize("path", PAGES)
def test_each_page_shows_that_it_came_through_bridge(office: httpx.Client, path: str) -> None:
    answer = office.get(path)
    assert answer.status_code == 200
    text = Page(answer.text).text
    assert "ASGI 3.0 server bridge.to_asgi Flask" in text
    assert "thread bridge-worker-" in text


@pytest.mark.parametrize("path", PAGES)
def test_each_page_loads_only_its_own_resources(office: httpx.Client, path: str) -> None:
    answer = office.get(path)
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    addresses = Page(answer.text).addresses
    assert addresses
    assert [address for address in addresses if not address.startswith(("/", "#"))] == []
    for address in addresses:
        if address.endswith((".css", ".js", ".svg")):
            assert office.get(address).status_code == 200


def test_the_same_app_still_runs_on_a_wsgi_server(tmp_path: Path) -> None:
    env = {"FLASK_DATA_DIR": str(tmp_path)}
    with serve("gunicorn-gthread", "wsgi:app", env=env, cwd=FLASK_APP) as server:
        text = Page(httpx.get(server.url, timeout=TIMEOUT_S).text).text
    assert "WSGI server Flask" in text
    assert "bridge.to_asgi" not in text


def test_the_form_saves_an_entry_and_shows_its_message_once(office: httpx.Client, key: str) -> None:
    answer = office.post("/log", data={"author": "Ada", "text": f"A schooner <{key}> & more"})
    assert [step.status_code for step in answer.history] == [302]
    assert "Thank you, Ada." in answer.text
    assert f"A schooner <{key}> & more" in Page(answer.text).text
    assert "Thank you" not in office.get("/log").text


def test_an_invalid_form_is_shown_again_with_its_values(office: httpx.Client) -> None:
    answer = office.post("/log", data={"author": "Ada <3", "text": "  "})
    assert answer.status_code == 422
    page = Page(answer.text)
    assert "Please fill this in." in page.text
    assert page.fields["author"] == "Ada <3"


def test_the_api_writes_reads_lists_and_removes(office: httpx.Client, key: str) -> None:
    made = office.post("/api/log", json={"author": "Ada", "text": key})
    assert made.status_code == 201
    assert office.get(made.headers["location"]).json() == made.json()
    assert made.json() in office.get("/api/log").json()["entries"]
    assert office.delete(made.headers["location"]).status_code == 204
    assert office.get(made.headers["location"]).status_code == 404
    assert office.delete(made.headers["location"]).json()["status"] == 404


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ('{"author": "Ada"}', 400, "Please fill this in."),
        ('{"author": "Ada", "text": "' + "x" * 501 + '"}', 400, "At most 500 characters"),
        ('["Ada"]', 400, "must be a JSON object"),
        ('{"author": ', 400, "error"),
    ],
)
def test_the_api_explains_errors(office: httpx.Client, body: str, status: int, part: str) -> None:
    answer = office.post("/api/log", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert part in answer.text


def test_the_api_accepts_only_json(office: httpx.Client) -> None:
    answer = office.post("/api/log", data={"author": "Ada", "text": "Hello"})
    assert answer.status_code == 415
    assert answer.json()["status"] == 415


def test_a_file_is_written_to_disk_while_it_is_still_being_sent(office_server: Server) -> None:
    crate = secrets.token_hex(8)
    first, second = secrets.token_bytes(MIB), secrets.token_bytes(MIB)

    def body() -> Iterator[bytes]:
        yield first
        wait_until(lambda: received(office_server, crate) > MIB // 2)
        yield second

    with visitor(office_server.url) as client:
        answer = client.put(f"/cargo/two%20halves.bin?crate={crate}", content=body())
    assert answer.status_code == 201
    stored = answer.json()
    assert (stored["key"], stored["name"]) == (crate, "two halves.bin")
    assert stored["size_bytes"] == 2 * MIB
    assert stored["sha256"] == hashlib.sha256(first + second).hexdigest()


def test_a_file_is_downloaded_unchanged(office: httpx.Client) -> None:
    content = secrets.token_bytes(3 * MIB + 7)
    crate = office.put("/cargo/Küste.bin", content=content).json()
    answer = office.get(f"/cargo/crates/{crate['key']}/content")
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert "filename*=UTF-8''K%C3%BCste.bin" in answer.headers["content-disposition"]


def test_the_form_without_javascript_also_uploads(office: httpx.Client, key: str) -> None:
    answer = office.post("/cargo", files={"file": (f"{key}.txt", b"ahoy" * 50_000)})
    assert f"{key}.txt was stored: 200,000 bytes." in answer.text
    assert hashlib.sha256(b"ahoy" * 50_000).hexdigest() in answer.text


def test_the_form_without_a_file_is_refused(office: httpx.Client) -> None:
    assert "Choose a file first." in office.post("/cargo", data={"nothing": ""}).text


def test_an_incomplete_upload_is_deleted(office_server: Server, office_data: Path) -> None:
    crate = secrets.token_hex(8)
    head = (
        f"PUT /cargo/half?crate={crate} HTTP/1.1\r\nHost: office\r\nContent-Length: 99999\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", office_server.port)) as connection:
        connection.sendall(head.encode() + b"x" * MORE_THAN_THE_BUFFER)
        wait_until(lambda: (office_data / "cargo" / f"{crate}.part").exists())
    wait_until(lambda: not (office_data / "cargo" / f"{crate}.part").exists())
    assert list((office_data / "cargo").glob(f"{crate}*")) == []


def test_a_key_can_be_used_once(office: httpx.Client) -> None:
    crate = secrets.token_hex(8)
    assert office.put(f"/cargo/one?crate={crate}", content=b"1").status_code == 201
    answer = office.put(f"/cargo/two?crate={crate}", content=b"2")
    assert answer.status_code == 409
    assert office.get(f"/cargo/crates/{crate}/content").content == b"1"


@pytest.mark.parametrize("crate", ["../../etc/passwd", "ABCDEF0123456789", "12", "0" * 33])
def test_a_key_cannot_name_another_file(office: httpx.Client, crate: str) -> None:
    answer = office.put("/cargo/one", params={"crate": crate}, content=b"1")
    assert answer.status_code == 400
    assert "hexadecimal" in answer.text


def test_a_file_above_the_limit_is_refused_before_it_is_sent(office_server: Server) -> None:
    head = f"PUT /cargo/huge HTTP/1.1\r\nHost: office\r\nContent-Length: {5 * 1024**3}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", office_server.port)) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.sendall(head.encode() + b"x" * MORE_THAN_THE_BUFFER)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_old_crates_are_deleted(office: httpx.Client) -> None:
    keys = [office.put("/cargo/small", content=b"x").json()["key"] for _ in range(9)]
    assert office.get(f"/cargo/crates/{keys[0]}/content").status_code == 404
    assert office.get(f"/cargo/crates/{keys[1]}/content").status_code == 200


def test_ten_years_of_tides_stream_without_a_length(office: httpx.Client) -> None:
    with office.stream("GET", "/tides.csv", params={"days": 3653}) as answer:
        assert "content-length" not in answer.headers
        assert "tides-3653-days.csv" in answer.headers["content-disposition"]
        lines = answer.iter_lines()
        assert next(lines) == "time_utc,level_m"
        assert sum(1 for _ in lines) == 3653 * 144


@pytest.mark.parametrize("days", ["0", "3654", "-1", "a week", "9" * 9999])
def test_an_invalid_number_of_days_is_refused(office: httpx.Client, days: str) -> None:
    answer = office.get("/tides.csv", params={"days": days})
    assert answer.status_code == 400
    assert "is not a whole number from 1 to 3653" in answer.text


def test_an_entry_reaches_every_open_board(office: httpx.Client, key: str) -> None:
    with ExitStack() as open_boards:
        boards = [open_boards.enter_context(Board(office)) for _ in range(3)]
        office.post("/api/log", json={"author": "Ada", "text": key})
        for board in boards:
            assert board.wait_for("entry")["text"] == key


def test_a_closed_board_is_no_longer_counted(office: httpx.Client) -> None:
    with Board(office) as board:
        with Board(office):
            assert board.wait_for("watchers", 2) == 2
        assert board.wait_for("watchers", 1) == 1


def test_the_board_sends_readings_without_other_requests(office: httpx.Client) -> None:
    with Board(office) as board:
        first, second = board.wait_for("reading"), board.wait_for("reading")
    assert first["time"] < second["time"]
    assert first["thread"] == second["thread"]
    assert first["thread"].startswith("bridge-worker-")


def test_the_async_view_runs_on_the_servers_event_loop(office: httpx.Client) -> None:
    text = Page(office.get("/weather").text).text
    assert "View on thread bridge-worker-" in text
    assert "Coroutines on thread MainThread" in text


def test_an_unhandled_error_is_one_page_and_one_traceback(
    office: httpx.Client, office_site: LiveServer
) -> None:
    answer = office.get("/storm")
    assert answer.status_code == 500
    assert "Internal server error" in answer.text
    assert "storm glass" not in answer.text
    failure = "RuntimeError: the storm glass fell off the wall"
    assert office_site.server.wait_for_log(failure).count(failure) == 1


def test_the_404_page_suggests_similar_pages(office: httpx.Client) -> None:
    answer = office.get("/tide")
    assert answer.status_code == 404
    assert "/tides" in Page(answer.text).addresses


def test_a_405_response_lists_the_allowed_methods(office: httpx.Client) -> None:
    answer = office.post("/tides")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


class Board:
    """An open live board: the events of its stream, in order."""

    def __init__(self, client: httpx.Client) -> None:
        self._stream = client.stream("GET", "/live/events")

    def __enter__(self) -> Board:
        answer = self._stream.__enter__()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()
        self.wait_for("watchers")  # sent when the server has added this board
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)

    def wait_for(self, event: str, value: object = None) -> Any:
        """The data of the next event of this kind, with this value if one is given.

        A board sends events every second, so checking the deadline after each event is enough.
        """
        deadline = time.monotonic() + TIMEOUT_S
        for line in self._lines:
            assert time.monotonic() < deadline, f"no {event} after {TIMEOUT_S} s"
            if line != f"event: {event}":
                continue
            data = json.loads(next(self._lines).removeprefix("data: "))
            if value is None or data == value:
                return data
        raise AssertionError(f"the stream ended before {event}")


def received(server: Server, crate: str) -> int:
    """How many bytes of a crate are on disk, as reported by the app."""
    answer = httpx.get(f"{server.url}/cargo/crates/{crate}", timeout=TIMEOUT_S)
    return int(answer.json()["received_bytes"])


def wait_until(condition: Any) -> None:
    """Poll until the condition is true; fail after the timeout."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not true after {TIMEOUT_S} s"
        time.sleep(0.01)  # polling, with a deadline: files of another process send no event

"""``examples/asgi_tour``: each app on an ASGI server and on a WSGI server.

Each app starts once per server. uvicorn loads ``app`` and gunicorn loads ``wsgi_app``; one of them
is the app itself, the other an adapter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.examples.pages import Page
from tests.examples.projects import ASGI_TOUR
from tests.harness.servers import Server, serve

TARGETS = {"uvicorn-uvloop": "app", "gunicorn-gthread": "wsgi_app"}
TIMEOUT_S = 30.0
ORIGIN = "http://localhost:3000"


@dataclass
class Tour:
    """Starts the apps of the tour on one server, each when it is first used."""

    name: str
    logs: Path
    stack: ExitStack = field(default_factory=ExitStack)
    running: dict[str, Server] = field(default_factory=dict)

    @property
    def is_native(self) -> bool:
        """Whether the server calls ASGI apps directly."""
        return self.name.startswith("uvicorn")

    def server(self, app: str) -> Server:
        """The server that runs this app."""
        if app not in self.running:
            logs = self.logs / app
            logs.mkdir()
            target = f"{app}:{TARGETS[self.name]}"
            serving = serve(self.name, target, cwd=ASGI_TOUR, log_dir=logs)
            self.running[app] = self.stack.enter_context(serving)
        return self.running[app]

    def client(self, app: str) -> httpx.Client:
        """A client of this app."""
        return self.stack.enter_context(
            httpx.Client(base_url=self.server(app).url, timeout=TIMEOUT_S)
        )


@pytest.fixture(scope="module", params=list(TARGETS))
def tour(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tour]:
    """The tour on each of the two servers."""
    made = Tour(request.param, tmp_path_factory.mktemp(request.param))
    with made.stack:
        yield made


def test_hello(tour: Tour) -> None:
    answer = tour.client("hello").get("/any/path")
    assert answer.text == "Hello from an ASGI app.\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_wsgi_hello(tour: Tour) -> None:
    assert tour.client("wsgi_hello").get("/").text == "Hello from a WSGI app.\n"


def test_the_scope_is_shown_as_received(tour: Tour) -> None:
    headers = {"X-Boat": "Heron"}
    scope = tour.client("show_scope").post("/caf%C3%A9?a=1&b=2", headers=headers).json()
    assert scope["method"] == "POST"
    assert scope["path"] == "/café"
    assert scope["raw_path"] == "/caf%C3%A9"
    assert scope["query_string"] == "a=1&b=2"
    assert ["x-boat", "Heron"] in scope["headers"]
    assert ("wsgi_environ" in scope) is not tour.is_native


def test_the_json_api_lists_adds_and_reads(tour: Tour) -> None:
    client = tour.client("json_api")
    made = client.post("/boats", json={"name": " Skylark "})
    assert made.status_code == 201
    assert made.json()["name"] == "Skylark"
    assert client.get(made.headers["location"]).json() == made.json()
    assert made.json() in client.get("/boats").json()["boats"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/boats", b"{", 400, "The body is not JSON"),
        ("POST", "/boats", b"[]", 400, "A boat is an object with a name"),
        ("POST", "/boats", b'{"name": " "}', 400, "A boat is an object with a name"),
        ("POST", "/boats", b" " * 70_000, 413, "at most 65536 bytes"),
        ("GET", "/boats/99", b"", 404, "There is no boat 99"),
        ("GET", "/boats/one", b"", 404, "There is no boat one"),
        ("GET", "/", b"", 404, "Try /boats"),
        ("DELETE", "/boats", b"", 405, "GET and POST"),
    ],
)
def test_the_json_api_explains_errors(
    tour: Tour, method: str, path: str, body: bytes, status: int, text: str
) -> None:
    answer = tour.client("json_api").request(method, path, content=body)
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert answer.headers.get("allow") == ("GET, HEAD, POST" if status == 405 else None)


def test_the_middleware_logs_each_request_once(tour: Tour) -> None:
    tour.client("logging_and_cors").get("/somewhere")
    log = tour.server("logging_and_cors").wait_for_log("GET /somewhere 200 in ")
    assert log.count("GET /somewhere 200 in ") == 1


def test_the_middleware_allows_one_origin(tour: Tour) -> None:
    client = tour.client("logging_and_cors")
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = client.options("/", headers=headers)
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    shared = client.get("/", headers={"Origin": ORIGIN})
    assert shared.text == "Hello from behind two middleware.\n"
    assert shared.headers["access-control-allow-origin"] == ORIGIN
    assert shared.headers["vary"] == "Origin"
    other = client.get("/", headers={"Origin": "http://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def test_startup_and_shutdown_run_once(tour: Tour, tmp_path: Path) -> None:
    target = f"lifespan:{TARGETS[tour.name]}"
    hooks = [] if tour.is_native else ["--config", "python:bridge.contrib.gunicorn"]
    with serve(tour.name, target, args=hooks, cwd=ASGI_TOUR, log_dir=tmp_path) as server:
        first, second = (httpx.get(server.url, timeout=TIMEOUT_S).text for _ in range(2))
        server.terminate()
    assert number(second) == number(first) + 1
    assert server.log().count("tour: started") == 1
    assert server.log().count("tour: stopped") == 1


def number(text: str) -> int:
    """The number of the request, from the response."""
    return int(text.removeprefix("Request ").partition(",")[0])


def test_fastapi_responds_validates_and_documents(tour: Tour) -> None:
    client = tour.client("fastapi_hello")
    assert client.get("/").json()["hello"] == "from FastAPI"
    fare = client.post("/fare", json={"boat": "Heron", "length_m": 12.5})
    assert fare.json() == {"boat": "Heron", "pence": 4375}
    wrong = client.post("/fare", json={"boat": "", "length_m": -1})
    assert wrong.status_code == 422
    assert {each["loc"][1] for each in wrong.json()["detail"]} == {"boat", "length_m"}
    assert "/openapi.json" in client.get("/docs").text
    assert "/fare" in client.get("/openapi.json").json()["paths"]


def test_the_echo_answers_plain_http(tour: Tour) -> None:
    assert "Connect with a WebSocket" in tour.client("echo").get("/").text


def test_the_echo_returns_every_message(tour: Tour) -> None:
    with socket_of(tour, "echo", "/") as socket:
        for message in ("Ahoy", b"\x00\xff", "", "⚓" * 1000):
            socket.send(message)
            assert socket.recv(TIMEOUT_S) == message


@pytest.mark.parametrize("app", ["chat", "ticker"])
def test_the_pages_load_only_their_own_resources(tour: Tour, app: str) -> None:
    client = tour.client(app)
    answer = client.get("/")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    addresses = [each for each in Page(answer.text).addresses if each[:1] not in "#."]
    assert {"harbour.css", "tour.css", "bridge.svg", f"{app}.js"} == set(addresses)
    assert {client.get(f"/{each}").status_code for each in addresses} == {200}
    assert client.get("/nothing").status_code == 404
    assert f'data-server="{"asgi" if tour.is_native else "wsgi"}"' in answer.text


def test_a_chat_message_reaches_all_members(tour: Tour, key: str) -> None:
    key = key[-12:]  # a name may have 40 characters
    with socket_of(tour, "chat", f"/socket?name=Ada-{key}") as ada:
        with socket_of(tour, "chat", f"/socket?name=Grace%20{key}") as grace:
            names = [f"Ada-{key}", f"Grace {key}"]
            members = wait_for_message(ada, "members", names=names)
            assert members == wait_for_message(grace, "members", names=names)
            grace.send(f"  Ahoy <{key}>  ")
            message = wait_for_message(ada, "message", text=f"Ahoy <{key}>")
            assert message["name"] == f"Grace {key}"
            assert wait_for_message(grace, "message", id=message["id"]) == message
        assert wait_for_message(ada, "members", names=[f"Ada-{key}"])
    with socket_of(tour, "chat", "/socket?name=Late") as late:
        assert wait_for_message(late, "message", id=message["id"]) == message


def test_a_stalled_member_is_disconnected_and_delays_nobody(tour: Tour, key: str) -> None:
    """The other member sends more than all buffers hold, and receives every message."""
    text, limit = key + "⚓" * 400, 40_000
    with socket_of(tour, "chat", "/socket?name=Stalled", max_queue=1) as stalled:
        with socket_of(tour, "chat", f"/socket?name={key}") as quick:
            wait_for_message(quick, "members", names=sorted(["Stalled", key]))
            for _ in range(limit):
                quick.send(text)
                if wait_for_message(quick, "message", "members").get("names") == [key]:
                    break
            else:
                pytest.fail(f"still connected after {limit} unread messages")
        with pytest.raises(ConnectionClosed):
            read_to_the_end(stalled)


def test_the_chat_refuses_other_addresses(tour: Tour) -> None:
    with pytest.raises(InvalidStatus) as refused:
        socket_of(tour, "chat", "/elsewhere")
    assert refused.value.response.status_code == 403


def test_readings_arrive_every_second_and_resume_after_the_last_one(tour: Tour) -> None:
    client = tour.client("ticker")
    with client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        seen = ids(answer, 2)
    missed = {"Last-Event-ID": str(seen[-1] - 300)}
    with client.stream("GET", "/events", headers=missed) as answer:
        again = ids(answer, 301)
    assert again == list(range(seen[-1] - 299, seen[-1] + 2))
    assert seen == [seen[0], seen[0] + 1]


@pytest.mark.parametrize("last", ["soon", "-1", "9" * 30, ""])
def test_an_invalid_last_event_id_starts_with_the_current_reading(tour: Tour, last: str) -> None:
    headers = {"Last-Event-ID": last}
    with tour.client("ticker").stream("GET", "/events", headers=headers) as answer:
        assert abs(ids(answer, 1)[0] - time.time()) < 3600


def test_a_client_that_was_away_for_days_gets_the_last_hour(tour: Tour) -> None:
    headers = {"Last-Event-ID": "1"}
    with tour.client("ticker").stream("GET", "/events", headers=headers) as answer:
        seen = ids(answer, 3600)
    assert seen == list(range(seen[0], seen[0] + 3600))


def ids(answer: httpx.Response, count: int) -> list[int]:
    """The ids of the next events."""
    lines = (line for line in answer.iter_lines() if line.startswith("id: "))
    return [int(next(lines).removeprefix("id: ")) for _ in range(count)]


def socket_of(tour: Tour, app: str, path: str, **options: Any) -> ClientConnection:
    """A WebSocket to an app of the tour."""
    url = f"ws://127.0.0.1:{tour.server(app).port}{path}"
    socket: ClientConnection = connect(url, open_timeout=TIMEOUT_S, compression=None, **options)
    return socket


def read_to_the_end(socket: ClientConnection) -> None:
    """Read until the server closes the connection.

    :raises ConnectionClosed: always, in the end.
    """
    while True:
        socket.recv(TIMEOUT_S)


def wait_for_message(socket: ClientConnection, *kinds: str, **values: object) -> dict[str, Any]:
    """The next message of one of these kinds with these values."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        message: dict[str, Any] = json.loads(socket.recv(max(0.0, deadline - time.monotonic())))
        if message["kind"] in kinds and values.items() <= message.items():
            return message

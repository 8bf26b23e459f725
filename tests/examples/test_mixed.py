"""``examples/mixed/main.py``: four apps in one process, on an ASGI server and on a WSGI server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.examples.conftest import visitor
from tests.examples.pages import Page
from tests.examples.projects import MIXED, demo_environment, prepare_shop
from tests.harness.servers import Server, serve

ASGI, WSGI = "uvicorn-uvloop", "gunicorn-gthread"
HOOKS = ("--config", "python:bridge.contrib.gunicorn")
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder shared by both servers."""
    folder = tmp_path_factory.mktemp("mixed")
    prepare_shop(demo_environment(folder)["DATABASE_URL"])
    return folder


@pytest.fixture(scope="module", params=[ASGI, WSGI])
def mixed(request: pytest.FixtureRequest, data: Path) -> Iterator[Server]:
    """``main:app`` on each server."""
    logs = data / request.param
    logs.mkdir()
    hooks = HOOKS if request.param == WSGI else ()
    env = demo_environment(data)
    with serve(request.param, "main:app", args=hooks, env=env, cwd=MIXED, log_dir=logs) as server:
        yield server


@pytest.fixture
def client(mixed: Server) -> Iterator[httpx.Client]:
    """A client with its own cookies."""
    with visitor(mixed.url) as client:
        yield client


def test_all_four_apps_run_in_one_process(mixed: Server, client: httpx.Client) -> None:
    pids = {client.get(path).json()["pid"] for path in ("/api/about", "/ws/about")}
    for path in ("/", "/shop/"):
        pids.add(int(Page(client.get(path).text).text.rpartition("process ")[2]))
    assert pids == set(mixed.serving_pids())


def test_only_apps_of_the_other_interface_are_adapted(mixed: Server, client: httpx.Client) -> None:
    traces = [client.get(path).json()["path"] for path in ("/api/about", "/ws/about")]
    pages = [Page(client.get(path).text).text for path in ("/", "/shop/")]
    on_asgi = mixed.spec.kind == "asgi"
    assert all(("bridge.to_wsgi" in trace) is not on_asgi for trace in traces)
    assert all(("bridge.to_asgi" in text) is on_asgi for text in pages)


def test_fastapis_documentation_respects_the_prefix(client: httpx.Client) -> None:
    assert "'/api/openapi.json'" in client.get("/api/docs").text
    schema = client.get("/api/openapi.json").json()
    assert schema["servers"] == [{"url": "/api"}]
    assert "/log/{number}" in schema["paths"]


def test_an_entry_added_through_fastapi_is_in_flasks_log_book(
    client: httpx.Client, key: str
) -> None:
    made = client.post("/api/log", json={"author": " Ada ", "text": key})
    assert made.status_code == 201
    assert made.json()["author"] == "Ada"
    assert httpx.URL(made.headers["location"]).path == f"/api/log/{made.json()['id']}"
    assert client.get(made.headers["location"]).json() == made.json()
    assert key in Page(client.get("/log").text).text
    assert client.delete(made.headers["location"]).status_code == 204
    assert client.get(made.headers["location"]).status_code == 404
    assert client.delete(made.headers["location"]).status_code == 404
    assert key not in Page(client.get("/log").text).text


def test_fastapi_reports_the_invalid_fields_of_an_entry(client: httpx.Client) -> None:
    answer = client.post("/api/log", json={"author": " ", "text": "x" * 501})
    assert answer.status_code == 422
    assert [each["loc"] for each in answer.json()["detail"]] == [
        ["body", "author"],
        ["body", "text"],
    ]


def test_flasks_urls_start_at_the_root(client: httpx.Client, key: str) -> None:
    for path in ("/", "/log", "/live", "/cargo", "/tides", "/weather"):
        addresses = Page(client.get(path).text).addresses
        assert "/theme/harbour.css" in addresses
        assert "/shop/" in addresses
        assert "/ws/" in addresses
    written = client.post("/log", data={"author": "Ada", "text": key})
    assert [step.headers["location"] for step in written.history] == ["/log"]


def test_log_book_entries_appear_in_the_chat(client: httpx.Client, key: str) -> None:
    client.post("/log", data={"author": "Grace", "text": key})
    client.post("/api/log", json={"author": "Ada", "text": key})
    text = f"wrote into the log book: {key}"
    messages = wait_for(lambda: [each for each in history(client) if each["text"] == text], 2)
    assert [each["name"] for each in messages] == ["Grace", "Ada"]


def test_an_entry_added_through_fastapi_is_on_flasks_live_board(
    client: httpx.Client, key: str
) -> None:
    with client.stream("GET", "/live/events") as board:
        lines = board.iter_lines()
        next(line for line in lines if line == "event: watchers")  # the board has been added
        client.post("/api/log", json={"author": "Ada", "text": key})
        next(line for line in lines if line == "event: entry")
        assert json.loads(next(lines).removeprefix("data: "))["text"] == key


def test_an_order_in_the_shop_is_announced_in_the_chat(client: httpx.Client) -> None:
    product = Page(client.get("/shop/products/harbour-tea/").text)
    post(client, "/shop/products/harbour-tea/", product, quantity="1")
    checkout = Page(client.get("/shop/checkout/").text)
    fields = {"name": "Mary Anning", "email": "mary@harbour.example", "delivery": "collect"}
    placed = post(client, "/shop/checkout/", checkout, **fields)
    assert "Thank you! Your order was placed." in Page(placed.text).text
    number = placed.url.path.rstrip("/").rpartition("/")[2]
    text = f"has a new order, {number.replace('-', '')[:8].upper()}"
    assert wait_for(lambda: [each for each in history(client) if each["text"] == text], 1)


def test_djangos_admin_works_under_its_prefix(client: httpx.Client) -> None:
    login = client.get("/shop/admin/")
    assert login.url.path == "/shop/admin/login/"
    index = post(
        client,
        f"{login.url.path}?next=/shop/admin/",
        Page(login.text),
        username="admin",
        password="admin",
    )
    page = Page(index.text)
    assert "Shop administration" in page.text
    assert "/shop/admin/shop/order/" in page.addresses
    assert [a for a in page.addresses if not a.startswith(("/shop", "#"))] == []
    assert client.get("/shop/admin/shop/order/").status_code == 200
    assert client.get("/shop/static/admin/css/base.css").status_code == 200


def test_a_path_that_starts_like_a_prefix_is_served_by_flask(client: httpx.Client) -> None:
    for path in ("/shopping", "/apiary", "/wsx"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "Harbour Office" in answer.text


@pytest.mark.parametrize("prefix", ["/api", "/ws", "/shop"])
def test_a_prefix_without_its_slash_serves_the_page(client: httpx.Client, prefix: str) -> None:
    answer = client.get(prefix)
    assert answer.status_code == 200
    assert answer.url.path in (prefix, f"{prefix}/")


@pytest.mark.parametrize("path", ["/ws/", "/api/"])
def test_the_resources_of_the_new_pages_exist(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert "{{" not in answer.text
    here = answer.url
    addresses = {str(here.join(each)) for each in Page(answer.text).addresses if each[:1] != "#"}
    assert {client.get(each).status_code for each in addresses} == {200}
    assert all(each.startswith(str(client.base_url)) for each in addresses)


def test_the_chat_receives_messages_of_members_and_apps(
    mixed: Server, client: httpx.Client, key: str
) -> None:
    suffix = key[-12:]
    with socket_of(mixed, f"/ws/socket?name=Ada{suffix}") as ada:
        with socket_of(mixed, f"/ws/socket?name=Grace{suffix}") as grace:
            wait_for_message(ada, "members", names=[f"Ada{suffix}", f"Grace{suffix}"])
            grace.send(b"\x00")  # ignored: the chat takes text
            grace.send(key)
            assert wait_for_message(ada, "message", text=key)["name"] == f"Grace{suffix}"
            client.post("/log", data={"author": "Linus", "text": key})
            text = f"wrote into the log book: {key}"
            wait_for_message(grace, "message", name="Linus", text=text)
        wait_for_message(ada, "members", names=[f"Ada{suffix}"])


@pytest.mark.parametrize("path", ["/api/socket", "/ws/elsewhere", "/shop/x"])
def test_a_websocket_that_no_app_accepts_is_refused(mixed: Server, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        socket_of(mixed, path)
    assert refused.value.response.status_code in (403, 404)


@pytest.mark.parametrize("mixed", [ASGI], indirect=True)
def test_a_websocket_to_a_wsgi_app_is_refused(mixed: Server) -> None:
    """A WSGI server passes it to the app, as an ordinary request."""
    with pytest.raises(InvalidStatus) as refused:
        socket_of(mixed, "/live/events")
    assert refused.value.response.status_code in (403, 404)


def history(client: httpx.Client) -> list[dict[str, str]]:
    """The messages that the chat keeps, oldest first."""
    messages: list[dict[str, str]] = client.get("/ws/history").json()
    return messages


def wait_for(find: Callable[[], list[dict[str, str]]], count: int) -> list[dict[str, str]]:
    """Poll until ``find`` returns ``count`` items: announcements are posted to the event loop."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := find()) < count:
        assert time.monotonic() < deadline, f"only {found}"
    return found


def post(client: httpx.Client, path: str, form: Page, **fields: str) -> httpx.Response:
    """Post a Django form with its token."""
    token = form.fields["csrfmiddlewaretoken"]
    return client.post(path, data={**fields, "csrfmiddlewaretoken": token})


def socket_of(mixed: Server, path: str) -> ClientConnection:
    """A WebSocket to the app."""
    socket: ClientConnection = connect(
        f"ws://127.0.0.1:{mixed.port}{path}", open_timeout=TIMEOUT_S, compression=None
    )
    return socket


def wait_for_message(socket: ClientConnection, kind: str, **values: object) -> dict[str, Any]:
    """The next message of this kind with these values."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        message: dict[str, Any] = json.loads(socket.recv(max(0.0, deadline - time.monotonic())))
        if message["kind"] == kind and values.items() <= message.items():
            return message

"""nginx and HAProxy, as configured in `deploy/`, in front of two processes of the site."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.docs.nginx import nginx, path_of_nginx
from tests.harness.http import Http1Client, exchange_raw
from tests.harness.listening import wait_until_listening
from tests.harness.ports import HOST, held_port, port_of
from tests.harness.redis import redis_server
from tests.harness.servers import ROOT, Address, Server, ServerSpec, serve
from tests.harness.tools import find_program, skip_without

DEPLOY = ROOT / "deploy"
NAMES = ("one", "two")


@pytest.fixture(scope="module")
def site() -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        url = stack.enter_context(redis_server()).url
        yield {name: stack.enter_context(_site(name, url)) for name in NAMES}


def _site(name: str, redis_url: str) -> AbstractContextManager[Server]:
    def command(at: Address, target: str) -> list[str]:
        where = ["--port", str(at.port), "--healthz", "/healthz", "--log-level", "warning"]
        return ["bridge", "run", target, "--server", "uvicorn", *where]

    env = {"HOST_NAME": name, "REDIS_URL": redis_url}
    return serve(ServerSpec(name, "asgi", command), "main:app", env=env, cwd=DEPLOY / "site")


@contextmanager
def _nginx(ports: list[int], folder: Path) -> Iterator[int]:
    if path_of_nginx() is None:
        skip_without("nginx", "nginx")
    text = (DEPLOY / "nginx" / "site.conf").read_text("utf-8")
    both = "".join(rf"server {HOST}:{port}\1;" for port in ports)
    with nginx(re.sub(r"server app:8000([^;]*);", both, text), folder, None) as port:
        yield port


@contextmanager
def _haproxy(ports: list[int], folder: Path) -> Iterator[int]:
    program = find_program("haproxy", package="haproxy")
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    for number, port in zip((11, 12), ports, strict=True):
        text = text.replace(f"10.0.0.{number}:8000", f"{HOST}:{port}")
    with held_port() as holder, (folder / "haproxy.log").open("w+") as log:
        port = port_of(holder)
        config = folder / "haproxy.cfg"
        config.write_text(text.replace("bind :80", f"bind {HOST}:{port}"))
        process = subprocess.Popen([program, "-f", str(config)], stdout=log, stderr=log)
        try:
            wait_until_listening(process, port, folder / "haproxy.log")
            yield port
        finally:
            process.kill()
            process.wait()


class _Headers(BaseHTTPRequestHandler):
    """Answers with the headers of the request."""

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


@contextmanager
def _shows_headers() -> Iterator[int]:
    with ThreadingHTTPServer((HOST, 0), _Headers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.mark.parametrize("start", [_nginx, _haproxy], ids=["nginx", "haproxy"])
def test_the_app_gets_the_headers_of_the_proxy_and_not_those_of_the_client(
    start: Callable[[list[int], Path], AbstractContextManager[int]], tmp_path: Path
) -> None:
    forged = dict.fromkeys(("X-Forwarded-For", "X-Forwarded-Proto"), "192.0.2.1")
    forged |= {"Host": "site.example", "X-Request-Start": "t=1"}
    with _shows_headers() as shown, start([shown, shown], tmp_path) as port:
        for path in ("/", "/events", "/ws"):
            found = Http1Client(port).fetch("GET", path, headers=[*forged.items()]).json()
            got = {name: [value for each, value in found if each == name] for name, _ in found}
            assert got["host"] == ["site.example"], path
            assert got["x-forwarded-for"] == [HOST], path
            assert got["x-forwarded-proto"] == ["http"], path
            assert got["x-request-start"] != ["t=1"], path


@pytest.fixture(scope="module", params=[_nginx, _haproxy], ids=["nginx", "haproxy"])
def proxy(
    request: pytest.FixtureRequest,
    site: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    start: Callable[[list[int], Path], AbstractContextManager[int]] = request.param
    with start([site[name].port for name in NAMES], tmp_path_factory.mktemp("proxy")) as port:
        yield port


def test_an_event_is_passed_on_before_the_stream_ends(proxy: int) -> None:
    with closing(Http1Client(proxy).open("GET", "/events")) as exchange:
        first = exchange.chunk()
        assert first.startswith(b"data: 0\n")
        assert b"data: 9" not in first
        assert b"data: 9" in exchange.read().body


def test_the_websockets_of_a_client_go_to_one_host(proxy: int) -> None:
    cookie, hosts = "", set()
    for _ in range(6):
        headers = {"Cookie": cookie} if cookie else {}
        with connect(f"ws://{HOST}:{proxy}/ws", additional_headers=headers, proxy=None) as opened:
            hosts.add(json.loads(opened.recv())["host"])
            assert opened.response is not None
            cookie = opened.response.headers.get("Set-Cookie", cookie).partition(";")[0]
    assert len(hosts) == 1


def test_requests_go_to_both_hosts(proxy: int) -> None:
    assert {_host(Http1Client(proxy).fetch("GET", "/").json()) for _ in range(40)} == {*NAMES}


def _host(reported: Any) -> str:
    return str(reported["host"])


def test_a_notice_reaches_a_websocket_on_any_host(proxy: int) -> None:
    with connect(f"ws://{HOST}:{proxy}/ws", proxy=None) as opened:
        mine = json.loads(opened.recv())["host"]
        senders: set[str] = set()
        while senders != {*NAMES}:
            response = Http1Client(proxy).fetch("POST", "/notices", body=b"hello")
            senders.add(_host(response.json()))
            assert json.loads(opened.recv(timeout=30)) == {
                "text": "hello",
                "from": _host(response.json()),
                "host": mine,
            }


def test_haproxy_sends_early_hints_to_a_browser_that_loads_a_page(
    site: dict[str, Server], tmp_path: Path
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n%s\r\n"
    with _haproxy([site[name].port for name in NAMES], tmp_path) as port:
        to_a_browser = exchange_raw(port, request % b"Sec-Fetch-Mode: navigate\r\n")
        to_others = exchange_raw(port, request % b"")
    assert to_a_browser.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </static/site.css>")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in to_a_browser
    assert to_others.startswith(b"HTTP/1.1 200 OK\r\n")


def test_nginx_answers_a_get_while_one_host_is_away(
    site: dict[str, Server], tmp_path: Path
) -> None:
    """The drills in `tests/hosts` are for HAProxy."""
    with (
        held_port() as refuses,
        _nginx([port_of(refuses), site["two"].port], tmp_path) as port,
    ):
        statuses = {Http1Client(port).fetch("GET", "/").status for _ in range(20)}
    assert statuses == {200}

"""The two pages of ``examples/asgi_tour`` in headless Chromium: the chat room and the tide gauge.

The server is stopped and restarted while a page is open. The test keeps the listening socket open,
so that no other process can take the port meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.examples.projects import ASGI_TOUR
from tests.examples.windows import (
    WIDER_BY,
    WITHOUT_LABEL,
    join_chat,
    send_to_chat,
    watched_window,
)
from tests.harness.servers import ROOT, SERVERS, Address, serve

pytestmark = pytest.mark.browser

TIMEOUT_MS = 30_000
LOST = "Connection lost. Reconnecting"
RECORD_IDS = """() => {
  window.seen = [];
  source.addEventListener("reading", (event) => seen.push(Number(event.lastEventId)));
}"""
SOCKET_LOST = "WebSocket connection to"  # Chromium's console message while the server is down


class Stoppable:
    """An app of the tour on uvicorn that can be killed and restarted on the same port."""

    def __init__(self, target: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target = target
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server. Clients that connect before it is up wait in the socket's backlog."""
        fd = self._listener.fileno()
        command = SERVERS["uvicorn-uvloop"].command(Address(self.port, fd), self._target)
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ASGI_TOUR,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ASGI_TOUR), str(ROOT)))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(fd,),
        )

    def kill(self) -> None:
        """Kill the server, as a crash would. Does nothing if it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill the server and release the port."""
        self.kill()
        self._listener.close()


@contextmanager
def stoppable(target: str) -> Iterator[Stoppable]:
    """Run the app for the duration of the block."""
    app = Stoppable(target)
    try:
        app.start()
        yield app
    finally:
        app.close()


@pytest.fixture(scope="module")
def chat() -> Iterator[Stoppable]:
    """The chat room."""
    with stoppable("chat:app") as app:
        yield app


def test_two_tabs_share_the_chat(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url) as window:
        ada = join_chat(window, "Ada")
        grace = join_chat(window, "Grace <b>")
        for tab in (ada, grace):
            expect(tab.locator("#members li")).to_have_text(["Ada", "Grace <b>"])
        send_to_chat(ada, "Ahoy & <i>welcome</i>")
        send_to_chat(grace, "Ahoy yourself")
        for tab in (ada, grace):
            messages = tab.locator("#messages p")
            expect(messages.filter(has_text="Ahoy & <i>welcome</i>")).to_have_count(1)
            expect(messages.filter(has_text="Ahoy yourself")).to_have_count(1)
        grace.close()
        expect(ada.locator("#members li")).to_have_text(["Ada"])


def test_the_chat_reconnects_when_its_server_restarts(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url, allowed_errors=(SOCKET_LOST,)) as window:
        ada, grace = join_chat(window, "Ada"), join_chat(window, "Grace")
        send_to_chat(ada, "Before the storm")
        expect(grace.locator("#messages")).to_contain_text("Before the storm")
        chat.kill()
        for tab in (ada, grace):
            expect(tab.locator("#state")).to_have_text(LOST)
            expect(tab.get_by_role("button", name="Send")).to_be_disabled()
        ada.get_by_label("Your message").fill("After the storm")
        chat.start()
        for tab in (ada, grace):
            expect(tab.locator("#members li")).to_have_text(["Ada", "Grace"])
        ada.get_by_role("button", name="Send").click()
        expect(grace.locator("#messages")).to_contain_text("After the storm")
        expect(grace.locator("#messages p", has_text="Before the storm")).to_have_count(1)


def test_a_reconnected_tab_shows_each_message_once(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url, allowed_errors=(SOCKET_LOST,)) as window:
        ada, grace = join_chat(window, "Ada"), join_chat(window, "Grace")
        send_to_chat(ada, "Only once")
        expect(grace.locator("#messages p", has_text="Only once")).to_have_count(1)
        with grace.expect_event("websocket"):
            grace.evaluate("() => socket.close()")
        expect(grace.locator("#state")).to_have_text("Connected")
        send_to_chat(ada, "And now this")
        expect(grace.locator("#messages p", has_text="And now this")).to_have_count(1)
        expect(grace.locator("#messages p", has_text="Only once")).to_have_count(1)


def test_the_gauge_misses_no_reading_when_its_server_restarts(browser: Browser) -> None:
    with stoppable("ticker:app") as gauge, watched_window(browser, gauge.url) as window:
        tab = window.new_page()
        tab.goto("/")
        tab.evaluate(RECORD_IDS)
        wait_for_reading(tab, 0)
        gauge.kill()
        expect(tab.locator("#state")).to_have_text(LOST)
        last = ids(tab)[-1]
        wait_until(lambda: time.time() > last + 3)  # three readings while no server runs
        gauge.start()
        expect(tab.locator("#reconnects")).to_have_text("1")
        wait_for_reading(tab, last + 3)
        seen = ids(tab)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        expect(tab.locator("#missed")).to_have_text("0")
        expect(tab.locator("#state")).to_have_text("Connected")


def ids(tab: Page) -> list[int]:
    """The ids of the readings that the page has received."""
    seen: list[int] = tab.evaluate("() => window.seen")
    return seen


def wait_for_reading(tab: Page, number: int) -> None:
    """Wait until the page has received this reading, or a later one."""
    wait_until(lambda: bool(ids(tab)) and ids(tab)[-1] >= number)


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll until the condition is true; fail after the timeout."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not condition():
        assert time.monotonic() < deadline, f"not true after {TIMEOUT_MS} ms"
        time.sleep(0.05)  # polling, with a deadline: another process sends no event


@pytest.mark.parametrize("app", ["chat", "ticker"])
def test_the_pages_fit_a_phone_and_show_the_kind_of_server(
    browser: Browser, app: str, tmp_path: Path
) -> None:
    serving = serve("gunicorn-gthread", f"{app}:wsgi_app", cwd=ASGI_TOUR, log_dir=tmp_path)
    with serving as server, watched_window(browser, server.url) as window:
        tab = window.new_page()
        tab.set_viewport_size({"width": 360, "height": 700})
        tab.goto("/")
        expect(tab.locator("h1")).to_have_count(1)
        expect(tab.locator("footer .native")).to_be_hidden()
        expect(tab.locator("footer .bridged")).to_contain_text("bridge.to_wsgi")
        assert tab.evaluate(WITHOUT_LABEL) == []
        assert tab.evaluate(WIDER_BY) <= 0
        if app == "chat":
            tab.get_by_label("Your name").fill("Ada")
            tab.get_by_role("button", name="Join").click()
            expect(tab.locator("#members")).to_contain_text("Ada")
        else:
            expect(tab.locator("#state")).to_have_text("Connected")

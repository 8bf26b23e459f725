"""The two pages of ``examples/asgi_tour`` in headless Chromium: the chat room and the tide gauge.

The server is stopped and started again under an open page. Its socket stays with the test, so that
nobody else takes the port meanwhile.
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
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.examples.projects import ASGI_TOUR
from tests.examples.windows import WIDER_BY, WITHOUT_LABEL, watched_window
from tests.harness.servers import ROOT, SERVERS, Address, serve

pytestmark = pytest.mark.browser

PATIENCE_MS = 30_000
LOST = "Connection lost. Trying again"
NOTE_IDS = """() => {
  window.seen = [];
  source.addEventListener("reading", (event) => seen.push(Number(event.lastEventId)));
}"""
SOCKET_LOST = "WebSocket connection to"  # the console's words while the server is down


class Stoppable:
    """An app of the tour under uvicorn, which can be killed and started again on the same port."""

    def __init__(self, target: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target = target
        self._process: subprocess.Popen[bytes] | None = None
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it. Whoever connects before it is up waits in the socket's queue."""
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
        """End it as a crash does. Harmless when it has ended."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Free the port, too."""
        self.kill()
        self._listener.close()


@contextmanager
def stoppable(target: str) -> Iterator[Stoppable]:
    """The app, running, for the length of the block."""
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


def come_in(window: BrowserContext, name: str) -> Page:
    """A tab of somebody who is in the room."""
    tab = window.new_page()
    tab.goto("/")
    tab.get_by_label("Your name").fill(name)
    tab.get_by_role("button", name="Come in").click()
    expect(tab.locator("#state")).to_have_text("Connected")
    return tab


def say(tab: Page, text: str) -> None:
    """Type it and press Enter."""
    tab.get_by_label("Say something").fill(text)
    tab.get_by_label("Say something").press("Enter")


def test_two_tabs_of_the_chat_hear_each_other(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url) as window:
        ada = come_in(window, "Ada")
        grace = come_in(window, "Grace <b>")
        for tab in (ada, grace):
            expect(tab.locator("#people li")).to_have_text(["Ada", "Grace <b>"])
        say(ada, "Ahoy & <i>welcome</i>")
        say(grace, "Ahoy yourself")
        for tab in (ada, grace):
            spoken = tab.locator("#said p")
            expect(spoken.filter(has_text="Ahoy & <i>welcome</i>")).to_have_count(1)
            expect(spoken.filter(has_text="Ahoy yourself")).to_have_count(1)
        grace.close()
        expect(ada.locator("#people li")).to_have_text(["Ada"])


def test_the_chat_comes_back_when_its_server_does(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url, may_say=(SOCKET_LOST,)) as window:
        ada, grace = come_in(window, "Ada"), come_in(window, "Grace")
        say(ada, "Before the storm")
        expect(grace.locator("#said")).to_contain_text("Before the storm")
        chat.kill()
        for tab in (ada, grace):
            expect(tab.locator("#state")).to_have_text(LOST)
            expect(tab.get_by_role("button", name="Say it")).to_be_disabled()
        ada.get_by_label("Say something").fill("After the storm")
        chat.start()
        for tab in (ada, grace):
            expect(tab.locator("#people li")).to_have_text(["Ada", "Grace"])
        ada.get_by_role("button", name="Say it").click()
        expect(grace.locator("#said")).to_contain_text("After the storm")
        expect(grace.locator("#said p", has_text="Before the storm")).to_have_count(1)


def test_who_comes_back_is_not_told_twice(browser: Browser, chat: Stoppable) -> None:
    with watched_window(browser, chat.url, may_say=(SOCKET_LOST,)) as window:
        ada, grace = come_in(window, "Ada"), come_in(window, "Grace")
        say(ada, "Only once")
        expect(grace.locator("#said p", has_text="Only once")).to_have_count(1)
        with grace.expect_event("websocket"):
            grace.evaluate("() => socket.close()")
        expect(grace.locator("#state")).to_have_text("Connected")
        say(ada, "And now this")
        expect(grace.locator("#said p", has_text="And now this")).to_have_count(1)
        expect(grace.locator("#said p", has_text="Only once")).to_have_count(1)


def test_the_gauge_loses_nothing_when_its_server_restarts(browser: Browser) -> None:
    with stoppable("ticker:app") as gauge, watched_window(browser, gauge.url) as window:
        tab = window.new_page()
        tab.goto("/")
        tab.evaluate(NOTE_IDS)
        wait_for_reading(tab, 0)
        gauge.kill()
        expect(tab.locator("#state")).to_have_text(LOST)
        last = ids(tab)[-1]
        wait_until(lambda: time.time() > last + 3)  # three readings that nobody is there to send
        gauge.start()
        expect(tab.locator("#returns")).to_have_text("1")
        wait_for_reading(tab, last + 3)
        seen = ids(tab)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        expect(tab.locator("#missed")).to_have_text("0")
        expect(tab.locator("#state")).to_have_text("Connected")


def ids(tab: Page) -> list[int]:
    """The ids of the readings that the page has had."""
    seen: list[int] = tab.evaluate("() => window.seen")
    return seen


def wait_for_reading(tab: Page, number: int) -> None:
    """Wait until the page has had this reading, or a later one."""
    wait_until(lambda: bool(ids(tab)) and ids(tab)[-1] >= number)


def wait_until(true: Callable[[], bool]) -> None:
    """Ask until it is true; fail after a while."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not true():
        assert time.monotonic() < deadline, f"not true after {PATIENCE_MS} ms"
        time.sleep(0.05)  # polling, with a deadline: another process has no event for this one


@pytest.mark.parametrize("app", ["chat", "ticker"])
def test_the_pages_fit_a_phone_and_say_what_serves_them(
    browser: Browser, app: str, tmp_path: Path
) -> None:
    serving = serve("gunicorn-gthread", f"{app}:wsgi_app", cwd=ASGI_TOUR, log_dir=tmp_path)
    with serving as server, watched_window(browser, server.url) as window:
        tab = window.new_page()
        tab.set_viewport_size({"width": 360, "height": 700})
        tab.goto("/")
        expect(tab.locator("h1")).to_have_count(1)
        expect(tab.locator("footer .native")).to_be_hidden()
        expect(tab.locator("footer .crossed")).to_contain_text("bridge.to_wsgi")
        assert tab.evaluate(WITHOUT_LABEL) == []
        assert tab.evaluate(WIDER_BY) <= 0
        if app == "chat":
            expect(tab.locator("#no-sockets")).to_be_visible()
            expect(tab.get_by_label("Your name")).to_be_hidden()
        else:
            expect(tab.locator("#state")).to_have_text("Connected")

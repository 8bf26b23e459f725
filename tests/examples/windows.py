"""Browser windows that record the problems of their pages.

Input: a running browser and the URL of a site. Output: a window with its own cookies. The test
fails if a page logs an error to the console, loads anything from another host, or requests
something that does not exist. Runs on the test's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
)

__all__ = ["WIDER_BY", "WITHOUT_LABEL", "join_chat", "send_to_chat", "watched_window"]

REFUSED = "Failed to load resource"  # Chromium's console message for any status from 400 on
WITHOUT_LABEL = """() => [...document.querySelectorAll("input, textarea, select")]
  .filter((field) => field.type !== "hidden" && !field.labels.length && !field.ariaLabel)
  .map((field) => field.outerHTML)"""
WIDER_BY = "() => document.documentElement.scrollWidth - window.innerWidth"

expect.set_options(timeout=30_000)  # long, because the machine may be busy


@contextmanager
def watched_window(
    browser: Browser, url: str, *, allowed_errors: tuple[str, ...] = ()
) -> Iterator[BrowserContext]:
    """A window for the duration of the block.

    :param allowed_errors: prefixes of console errors to ignore, where a test stops the server.
    :raises AssertionError: at the end, if a page had a problem.
    """
    problems: list[str] = []

    def check_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith((REFUSED, *allowed_errors)):
            problems.append(message.text)

    def check_request(request: Request) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            problems.append(f"loads {request.url}")

    def check_response(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            problems.append(f"{response.status} for {response.url}")

    context = browser.new_context(base_url=url, viewport={"width": 1100, "height": 800})
    context.on("console", check_console)
    context.on("request", check_request)
    context.on("response", check_response)
    context.on("weberror", lambda error: problems.append(str(error.error)))
    yield context
    context.close()
    assert problems == []


def join_chat(window: BrowserContext, name: str, page: str = "/") -> Page:
    """A tab that has joined the chat under this name. Two examples have one."""
    tab = window.new_page()
    tab.goto(page)
    form = tab.locator("#join")
    form.get_by_label("Your name").fill(name)
    form.get_by_role("button", name="Join").click()
    expect(tab.locator("#state")).to_have_text("Connected")
    return tab


def send_to_chat(tab: Page, text: str) -> None:
    """Type a message and press Enter."""
    tab.get_by_label("Your message").fill(text)
    tab.get_by_label("Your message").press("Enter")

"""Browser windows that note whatever their pages complain about.

What enters: a running browser and the address of a site. What leaves: a window with cookies of its
own, and the end of the test if a page in it complained in the console, loaded something from
elsewhere, or asked for what is not there. On the test's own thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Request,
    Response,
    expect,
)

__all__ = ["WIDER_BY", "WITHOUT_LABEL", "watched_window"]

REFUSED = "Failed to load resource"  # the console's words for any status from 400 on
WITHOUT_LABEL = """() => [...document.querySelectorAll("input, textarea, select")]
  .filter((field) => field.type !== "hidden" && !field.labels.length && !field.ariaLabel)
  .map((field) => field.outerHTML)"""
WIDER_BY = "() => document.documentElement.scrollWidth - window.innerWidth"

expect.set_options(timeout=30_000)  # only there to end a hang: the machine may be busy


@contextmanager
def watched_window(
    browser: Browser, url: str, *, may_say: tuple[str, ...] = ()
) -> Iterator[BrowserContext]:
    """A window for the length of the block.

    :param may_say: beginnings of what the console may say, where a test stops the server.
    :raises AssertionError: at the end, if a page complained.
    """
    complaints: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith((REFUSED, *may_say)):
            complaints.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            complaints.append(f"loads {request.url}")

    def note_response(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            complaints.append(f"{response.status} for {response.url}")

    context = browser.new_context(base_url=url, viewport={"width": 1100, "height": 800})
    context.on("console", note_console)
    context.on("request", note_request)
    context.on("response", note_response)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []

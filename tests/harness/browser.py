"""Debian's Chromium, headless, driven by Playwright's synchronous interface.

What enters: nothing but the machine's Chromium (or the one that ``CHROMIUM`` names). What leaves: a
:class:`playwright.sync_api.Browser`. Playwright's own event loop stays on the test's thread for as
long as the block lasts, so ``asyncio.run`` does not work there meanwhile: keep the block as short
as one test module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.harness.tools import program

ARGUMENTS = (
    "--no-sandbox",  # root, and containers without user namespaces, have none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium for the length of the block."""
    path = program("chromium", package="chromium", variable="CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()

"""Headless Chromium through Playwright's synchronous API.

Uses the installed Chromium, or the program in the environment variable ``CHROMIUM``. Playwright
runs an event loop on the test's thread until the end of the block, so ``asyncio.run`` fails there
meanwhile: use the block in one test module only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.harness.tools import find_program

ARGUMENTS = (
    "--no-sandbox",  # root and containers without user namespaces have no sandbox
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
    """Run Chromium for the block."""
    path = find_program("chromium", package="chromium", variable="CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()

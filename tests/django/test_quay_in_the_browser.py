"""The quay's board in headless Chromium: two tabs, on one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.django.quay import PATH
from tests.examples.projects import DJANGO_SITE, prepare_shop
from tests.harness.browser import chromium
from tests.harness.servers import Server, serve

pytestmark = pytest.mark.browser

TIMEOUT_MS = 30_000
WIDER_BY = "() => document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = f"sqlite:///{tmp_path_factory.mktemp('quay')}/shop.sqlite3"
    prepare_shop(url)
    env = {"DATABASE_URL": url, "REDIS_URL": ""}
    with serve("uvicorn-uvloop", "config.asgi:application", env=env, cwd=DJANGO_SITE) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def context(browser: Browser, shop: Server) -> Iterator[BrowserContext]:
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    context = browser.new_context(base_url=shop.url, viewport={"width": 1100, "height": 800})
    context.set_default_timeout(TIMEOUT_MS)
    context.on("console", note)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert errors == []


def open_board(context: BrowserContext) -> Page:
    tab = context.new_page()
    tab.goto(PATH)
    expect(tab.locator("#state")).to_have_text("Connected", timeout=TIMEOUT_MS)
    return tab


def test_two_tabs_see_what_a_sync_view_saves(context: BrowserContext, key: str) -> None:
    writer, reader = open_board(context), open_board(context)

    writer.get_by_label("Your name").fill("Mary Read")
    writer.get_by_label("Your notice").fill(f"<b>{key}</b>")
    writer.get_by_role("button", name="Post notice").click()

    for tab in (writer, reader):
        first = tab.locator("#notices li").first
        expect(first.locator("p")).to_have_text(f"<b>{key}</b>", timeout=TIMEOUT_MS)
        expect(first.locator(".by")).to_have_text("Mary Read", timeout=TIMEOUT_MS)


def test_the_stock_changes_when_an_order_is_placed(context: BrowserContext) -> None:
    board, customer = open_board(context), context.new_page()
    left = board.locator("[data-stock=hemp-rope]")
    before = int(left.inner_text())

    customer.goto("/products/hemp-rope/")
    customer.get_by_label("Quantity").fill("2")
    customer.get_by_role("button", name="Add to basket").click()
    customer.get_by_role("link", name="Check out").click()
    customer.get_by_label("Your name").fill("Mary Read")
    customer.get_by_label("E-mail").fill("mary@harbour.example")
    customer.get_by_role("button", name="Place the order").click()
    thanks = customer.get_by_role("status")
    expect(thanks).to_contain_text("Thank you!", timeout=TIMEOUT_MS)

    expect(left).to_have_text(str(before - 2), timeout=TIMEOUT_MS)


def test_the_board_fits_a_phone(context: BrowserContext) -> None:
    tab = open_board(context)
    tab.set_viewport_size({"width": 360, "height": 700})

    assert tab.evaluate(WIDER_BY) <= 0
    assert tab.locator("h1").count() == 1

"""All examples in headless Chromium, served by the demo on one port.

A test also fails if its page logs an error to the console, loads anything from another host, or
violates its Content-Security-Policy.
"""

from __future__ import annotations

import csv
import hashlib
import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.examples.projects import Demo
from tests.examples.windows import WIDER_BY, WITHOUT_LABEL, watched_window

pytestmark = pytest.mark.browser

OFFICE = ["/", "/log", "/live", "/cargo", "/tides", "/weather", "/api"]
MIXED = ["/ws/", "/tour/", "/tour/chat/", "/tour/ticker/"]
SHOP = ["/shop/", "/shop/quay/", "/shop/products/brass-compass/", "/shop/basket/", "/shop/login/"]
MIB = 1024 * 1024
RECORD_PROGRESS = """
  window.seen = { sent: [], written: [] };
  document.addEventListener("cargo", ({ detail }) => seen[detail.bar].push(detail.percent));
"""
BOTH_IN_PROGRESS = """
  () => Object.values(seen).every((bar) => bar.some((percent) => 0 < percent && percent < 100))
"""


@pytest.fixture
def context(browser: Browser, demo: Demo) -> Iterator[BrowserContext]:
    """A browser window with its own cookies, which records the problems of its pages."""
    with watched_window(browser, demo.url) as window:
        yield window


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    """One tab of the window."""
    return context.new_page()


@pytest.mark.parametrize("path", OFFICE + MIXED + SHOP)
def test_each_page_fits_a_phone_and_labels_its_fields(tab: Page, path: str) -> None:
    tab.set_viewport_size({"width": 360, "height": 700})
    tab.goto(path)
    expect(tab.locator("h1")).to_have_count(1)
    assert tab.evaluate(WITHOUT_LABEL) == []
    assert tab.evaluate(WIDER_BY) <= 0


def test_the_pages_follow_the_preferred_color_scheme(tab: Page) -> None:
    tab.goto("/")
    background = "() => getComputedStyle(document.body).backgroundColor"
    tab.emulate_media(color_scheme="light")
    light = tab.evaluate(background)
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(background) != light


def test_every_card_of_the_front_page_opens_a_page(tab: Page) -> None:
    tab.goto("/")
    for title in tab.locator(".card h3").all_inner_texts():
        if title == "Raise a storm":  # its 500 is a console error; tested over HTTP
            continue
        tab.get_by_role("link", name=title).click()
        expect(tab.locator("h1")).to_be_visible()
        tab.go_back()


def test_the_form_is_validated_and_posted(tab: Page) -> None:
    text = f"A schooner, {uuid.uuid4()}"
    tab.goto("/log")
    tab.get_by_label("Your name").fill("Grace")
    with tab.expect_response(re.compile("/log$")) as refused:
        tab.get_by_role("button", name="Save entry").click()
    assert refused.value.status == 422
    expect(tab.locator("#text_error")).to_have_text("Please fill this in.")
    expect(tab.get_by_label("Your name")).to_have_value("Grace")
    tab.get_by_label("Your entry").fill(text)
    tab.get_by_role("button", name="Save entry").click()
    expect(tab.get_by_role("status")).to_have_text("Thank you, Grace. Your entry was saved.")
    expect(tab.locator("#entries li").first).to_contain_text(text)


def test_an_upload_shows_its_progress_at_both_ends(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "Fracht & Güter.bin"
    file.write_bytes(secrets.token_bytes(12 * MIB))
    tab.add_init_script(RECORD_PROGRESS)
    tab.goto("/cargo")
    restore_speed = slow_down(tab, upload_bytes_per_s=MIB // 2)
    tab.get_by_label("File", exact=True).set_input_files(file)
    tab.get_by_role("button", name="Upload").click()
    tab.wait_for_function(BOTH_IN_PROGRESS, timeout=30_000)  # the file takes 24 s at least
    restore_speed()
    expect(tab.locator("#outcome")).to_have_text(f"{file.name} was stored.", timeout=60_000)
    seen: dict[str, list[float]] = tab.evaluate("() => window.seen")
    for percents in seen.values():
        assert [percent for percent in percents if 0 < percent < 100]
        assert percents == sorted(percents)
        assert percents[-1] == 100
    with tab.expect_download() as download:
        tab.get_by_role("link", name=file.name).click()
    assert sha256(download.value.path()) == sha256(file)


def test_an_upload_can_be_cancelled(tab: Page, tmp_path: Path, demo_data: Path) -> None:
    file = tmp_path / "too-long.bin"
    file.write_bytes(bytes(4 * MIB))
    tab.goto("/cargo")
    slow_down(tab, upload_bytes_per_s=MIB // 8)
    tab.get_by_label("File", exact=True).set_input_files(file)
    tab.get_by_role("button", name="Upload").click()
    expect(tab.locator("#written_text")).not_to_have_text(re.compile(r"· 0 %$"), timeout=30_000)
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.locator("#outcome")).to_have_text("Cancelled. The file was not stored.")
    expect(tab.get_by_role("button", name="Upload")).to_be_enabled()
    expect(tab.locator("#files")).not_to_contain_text(file.name)


def test_events_arrive_until_a_page_is_closed(context: BrowserContext) -> None:
    text = f"Two bells, {uuid.uuid4()}"
    board, other = context.new_page(), context.new_page()
    board.goto("/live")
    expect(board.locator("#state")).to_have_text("Connected")
    expect(board.locator("#watchers")).to_have_text("1")
    first = board.locator("#time").inner_text()
    expect(board.locator("#time")).not_to_have_text(first)
    other.goto("/live")
    expect(board.locator("#watchers")).to_have_text("2")
    other.goto("/log")
    expect(board.locator("#watchers")).to_have_text("1")
    other.get_by_label("Your name").fill("Ada")
    other.get_by_label("Your entry").fill(text)
    other.get_by_role("button", name="Save entry").click()
    expect(board.locator("#entries li").first).to_contain_text(text)


def test_the_api_can_be_used_from_its_page(tab: Page) -> None:
    tab.goto("/api")
    tab.get_by_role("button", name="Post").click()
    expect(tab.locator("#response")).to_contain_text("HTTP 201")
    tab.get_by_role("button", name="List").click()
    expect(tab.locator("#response")).to_contain_text("HTTP 200")


def test_the_control_room_shows_all_four_apps(context: BrowserContext) -> None:
    text = f"Three bells, {uuid.uuid4()}"
    room, board = context.new_page(), context.new_page()
    room.goto("/ws/")
    expect(room.locator("#verdict")).to_have_text(
        re.compile(r"^All four responded from process \d+")
    )
    expect(room.locator("#apps tr")).to_have_text(
        [re.compile(name) for name in ("bridge.to_asgi.*Flask", "FastAPI", "Starlette", "Django")]
    )
    room.get_by_label("Your name, in the chat").fill("Harbour master")
    room.get_by_role("button", name="Join").click()
    expect(room.locator("#members")).to_contain_text("Harbour master")
    board.goto("/live")
    expect(board.locator("#state")).to_have_text("Connected")
    room.get_by_label("Your entry").fill(text)
    room.get_by_role("button", name="Save entry").click()
    expect(room.locator("#saved")).to_have_text(re.compile("was saved"))
    expect(room.locator("#messages")).to_contain_text(f"wrote into the log book: {text}")
    expect(board.locator("#entries li").first).to_contain_text(text)
    board.goto("/log")
    expect(board.locator("#entries li").first).to_contain_text(text)


def test_two_tabs_of_the_control_room_share_the_chat(context: BrowserContext) -> None:
    text = f"Ahoy, {uuid.uuid4()}"
    tabs = [context.new_page(), context.new_page()]
    for tab, name in zip(tabs, ("Ada", "Grace"), strict=True):
        tab.goto("/ws/")
        tab.get_by_label("Your name, in the chat").fill(name)
        tab.get_by_role("button", name="Join").click()
        expect(tab.locator("#state")).to_have_text("Connected")
    tabs[0].get_by_label("Your message").fill(text)
    tabs[0].get_by_label("Your message").press("Enter")
    for tab in tabs:
        expect(tab.locator("#messages p", has_text=text)).to_have_count(1)
        expect(tab.locator("#members li", has_text="Ada")).to_have_count(1)
        expect(tab.locator("#members li", has_text="Grace")).to_have_count(1)


def test_the_shops_notice_board_is_live_under_its_prefix(context: BrowserContext) -> None:
    """A sync view on a worker thread of the Router reaches Channels' WebSockets on the loop."""
    text = f"Herring, {uuid.uuid4()}"
    writer, reader = context.new_page(), context.new_page()
    for tab in (writer, reader):
        tab.goto("/shop/quay/")
        expect(tab.locator("#state")).to_have_text("Connected")
    writer.get_by_label("Your name").fill("Mary Read")
    writer.get_by_label("Your notice").fill(text)
    writer.get_by_role("button", name="Post notice").click()
    for tab in (writer, reader):
        expect(tab.locator("#notices li").first).to_contain_text(text)


def test_the_tides_are_downloaded(tab: Page) -> None:
    tab.goto("/tides")
    tab.get_by_label("Days").fill("400")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "tides-400-days.csv"
    assert download.value.path().read_bytes().count(b"\n") == 400 * 144 + 1


def test_an_order_from_the_catalogue_to_the_receipt(tab: Page) -> None:
    tab.goto("/shop/")
    tab.get_by_label("Search").fill("almanac")
    tab.get_by_role("button", name="Show").click()
    tab.get_by_role("link", name="Tide almanac").click()
    tab.get_by_label("Quantity").fill("3")
    tab.get_by_role("button", name="Add to basket").click()
    expect(tab.locator("#basket-count")).to_have_text("3")
    tab.get_by_role("link", name="Check out").click()
    tab.get_by_label("Your name").fill("Mary Anning")
    tab.get_by_label("E-mail").fill("mary@harbour.example")
    tab.get_by_label("Send it by post boat").check()
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.locator(".errorlist")).to_have_text("Delivery by post boat requires an address.")
    tab.get_by_label("Address").fill("Lighthouse Lane 3")
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_role("status")).to_have_text("Thank you! Your order was placed.")
    expect(tab.locator("main")).to_contain_text("3 × Tide almanac")
    expect(tab.locator("#basket-count")).to_have_text("0")


def test_the_admin_adds_a_product_and_exports_the_orders(tab: Page) -> None:
    name = f"Anchor {uuid.uuid4().hex[:8]}"
    tab.goto("/shop/admin/")
    tab.get_by_label("Username").fill("admin")
    tab.get_by_label("Password").fill("admin")
    tab.get_by_role("button", name="Log in").click()
    expect(tab.locator("h1#site-name, #site-name")).to_contain_text("Harbour Shop")
    add_product(tab, name)
    tab.goto("/shop/")
    expect(tab.locator("main")).to_contain_text(name)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Orders as CSV").click()
    with download.value.path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 600
    assert {"number", "email", "sum"} <= set(rows[0])


def add_product(tab: Page, name: str) -> None:
    """Fill in the admin's form; its script generates the slug."""
    tab.goto("/shop/admin/shop/product/add/")
    tab.get_by_label("Name").press_sequentially(name)
    expect(tab.get_by_label("Slug")).to_have_value(name.lower().replace(" ", "-"))
    tab.get_by_label("Category").select_option("deck")
    tab.get_by_label("Summary").fill("Holds.")
    tab.get_by_label("Description").fill("Iron, with a ring.")
    tab.get_by_label("Price").fill("120")
    tab.get_by_label("Stock").fill("2")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator(".messagelist .success")).to_contain_text(name)


def slow_down(tab: Page, *, upload_bytes_per_s: int) -> Callable[[], None]:
    """Throttle uploads in the browser; the function returned removes the limit."""
    session = tab.context.new_cdp_session(tab)

    def limit(upload_bytes_per_s: int) -> None:
        conditions: dict[str, Any] = {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": upload_bytes_per_s,
        }
        session.send("Network.emulateNetworkConditions", conditions)

    session.send("Network.enable")
    limit(upload_bytes_per_s)
    return partial(limit, -1)


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

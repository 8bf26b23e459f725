"""The Django example on uvicorn, through bridge, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from tests.conftest import LiveServer
from tests.examples.conftest import TIMEOUT_S, visitor
from tests.examples.pages import Page
from tests.examples.projects import DJANGO_SITE, ORDERS, manage
from tests.harness.postgres import PostgresServer
from tests.harness.servers import Server, serve

POOL_THREADS = 40  # the default of to_asgi
ADDRESS = {"name": "Ada", "email": "ada@harbour.example", "delivery": "collect", "address": ""}


def test_the_catalogue_shows_that_it_came_through_bridge(shop: httpx.Client) -> None:
    page = Page(shop.get("/").text)
    assert "Storm lantern" in page.text
    assert "ASGI 3.0 server bridge.contrib.django Django" in page.text
    assert "thread bridge-worker-" in page.text
    assert [address for address in page.addresses if not address.startswith(("/", "#"))] == []


def test_the_same_site_still_runs_on_a_wsgi_server(shop_database: str) -> None:
    env = {"DATABASE_URL": shop_database}
    target = "config.wsgi:application"
    with serve("gunicorn-gthread", target, env=env, cwd=DJANGO_SITE) as server:
        text = Page(httpx.get(server.url, timeout=TIMEOUT_S).text).text
    assert "WSGI server Django" in text
    assert "bridge.to_asgi" not in text


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("q=LANTERN", "Storm lantern", "Enamel mug"),
        ("category=galley", "Enamel mug", "Storm lantern"),
        ("q=&category=nonsense", "Storm lantern", "No products found"),
        ("q=kraken", "No products found", "Storm lantern"),
    ],
)
def test_the_catalogue_can_be_searched(
    shop: httpx.Client, query: str, shown: str, hidden: str
) -> None:
    text = Page(shop.get(f"/?{query}").text).text
    assert shown in text
    assert hidden not in text


def test_pictures_and_styles_are_served_without_debug(shop: httpx.Client) -> None:
    addresses = [a for a in Page(shop.get("/").text).addresses if a.endswith((".css", ".svg"))]
    assert len(addresses) > 9
    assert {shop.get(address).status_code for address in addresses} == {200}
    assert shop.get("/static/admin/css/base.css").status_code == 200
    assert shop.get("/static/nothing.css").status_code == 404
    assert shop.get("/static/%2e%2e/manage.py").status_code == 400


def test_an_order_from_the_catalogue_to_the_receipt(shop: httpx.Client) -> None:
    before = stock_of(shop, "enamel-mug")
    basket = put_into_basket(shop, "enamel-mug", 3)
    assert "Enamel mug is in your basket." in basket
    assert "€ 36.00" in basket
    receipt = check_out(shop, ADDRESS)
    assert receipt.url.path.startswith("/orders/")
    assert "Thank you! Your order was placed." in receipt.text
    assert "3 × Enamel mug" in Page(receipt.text).text
    assert "Basket 0" in Page(receipt.text).text
    assert stock_of(shop, "enamel-mug") == before - 3


def test_the_checkout_reports_invalid_fields(shop: httpx.Client) -> None:
    put_into_basket(shop, "harbour-tea", 1)
    wrong = {"name": "Ada", "email": "nowhere", "delivery": "post", "address": " "}
    answer = check_out(shop, wrong)
    text = Page(answer.text).text
    assert answer.url.path == "/checkout/"
    assert "Enter a valid email address." in text
    assert "Delivery by post boat requires an address." in text
    assert Page(answer.text).fields["name"] == "Ada"


def test_the_basket_can_be_changed_and_emptied(shop: httpx.Client) -> None:
    put_into_basket(shop, "hemp-rope", 1)
    assert "€ 49.00" in change_basket(shop, "hemp-rope", 2)
    assert "left in stock." in change_basket(shop, "hemp-rope", 100_000)
    assert "Your basket is empty." in change_basket(shop, "hemp-rope", 0)
    assert "Your basket is empty." in shop.get("/checkout/").text


def test_a_quantity_above_the_stock_is_refused(shop: httpx.Client) -> None:
    left = stock_of(shop, "tide-almanac")
    assert f"Only {left} left in stock." in put_into_basket(shop, "tide-almanac", left + 1)


def test_a_product_that_is_sold_out_has_no_form(shop: httpx.Client) -> None:
    page = Page(shop.get("/products/ships-bell/").text)
    assert "sold out" in page.text
    assert "quantity" not in page.fields


def test_the_last_items_are_sold_once(shop_site: LiveServer) -> None:
    url = shop_site.server.url
    with visitor(url) as anybody:
        left = stock_of(anybody, "signal-flags")

    ready = Barrier(6, timeout=60)  # each customer has a basket and the checkout form

    def buy_them_all(number: int) -> httpx.Response:
        with visitor(url) as customer:
            put_into_basket(customer, "signal-flags", left)
            return check_out(customer, ADDRESS, ready.wait)

    with ThreadPoolExecutor(6) as customers:
        answers = list(customers.map(buy_them_all, range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6  # the others get a message
    assert sum("Thank you!" in answer.text for answer in answers) == 1
    with visitor(url) as anybody:
        assert stock_of(anybody, "signal-flags") == 0


def test_a_form_without_its_token_is_refused(shop: httpx.Client) -> None:
    assert shop.post("/products/hemp-rope/", data={"quantity": 1}).status_code == 403


def test_login_redirects_back_and_logout_ends_the_session(shop: httpx.Client) -> None:
    assert shop.get("/orders/").url.path == "/login/"
    assert "correct username and password" in log_in(shop, "ada", "wrong").text
    assert log_in(shop, "ada", "ada", to="/orders/").url.path == "/orders/"
    assert "Log out ada" in Page(shop.get("/").text).text
    shop.post("/logout/", data=token(shop))
    assert shop.get("/orders/").url.path == "/login/"


def test_an_order_is_listed_for_its_customer(shop: httpx.Client) -> None:
    log_in(shop, "ada", "ada")
    put_into_basket(shop, "message-bottle", 1)
    receipt = check_out(shop, ADDRESS)
    assert receipt.url.path in Page(shop.get("/orders/").text).addresses


def test_a_product_added_in_the_admin_can_be_bought(shop: httpx.Client, key: str) -> None:
    log_in(shop, "admin", "admin", form="/admin/login/", to="/admin/")
    slug = key[:40]
    fields = {
        "name": f"Anchor {slug}",
        "slug": slug,
        "category": "deck",
        "summary": "Holds.",
        "description": "Iron.",
        "price": "120.00",
        "stock": "2",
    }
    answer = shop.post("/admin/shop/product/add/", data=fields | token(shop))
    assert "was added successfully" in answer.text
    assert "€ 240.00" in put_into_basket(shop, slug, 2)


def test_the_admin_lists_orders_and_ships_them(shop: httpx.Client) -> None:
    log_in(shop, "admin", "admin", form="/admin/login/", to="/admin/")
    listing = Page(shop.get("/admin/shop/order/?status__exact=placed").text)
    chosen = listing.fields["_selected_action"]
    fields = {"action": "mark_as_shipped", "_selected_action": chosen}
    answer = shop.post("/admin/shop/order/", data=fields | token(shop))
    assert "Orders marked as shipped: 1." in answer.text
    assert "On its way" in shop.get(f"/admin/shop/order/{chosen}/change/").text


def test_the_export_streams_every_order(shop: httpx.Client, key: str) -> None:
    put_into_basket(shop, "message-bottle", 2)
    check_out(shop, {**ADDRESS, "name": f"=HYPERLINK({key[:30]})"})
    log_in(shop, "admin", "admin")
    with shop.stream("GET", "/orders.csv") as answer:
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "content-length" not in answer.headers
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert len(rows) > ORDERS
    newest_first = sorted((row["placed_at"] for row in rows), reverse=True)
    assert [row["placed_at"] for row in rows] == newest_first
    mine = [row for row in rows if key[:30] in row["name"]]
    assert [(row["name"][:6], row["items"], row["sum"]) for row in mine] == [
        ("'=HYPE", "2", "28.00")
    ]


def test_the_export_is_for_staff(shop: httpx.Client) -> None:
    assert shop.get("/orders.csv").url.path == "/login/"
    log_in(shop, "ada", "ada")
    answer = shop.get("/orders.csv")
    assert answer.status_code == 403
    assert "Staff only" in answer.text


def test_a_missing_product_is_a_404_page(shop: httpx.Client) -> None:
    answer = shop.get("/products/kraken/")
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert "/products/kraken/" in Page(answer.text).text


def test_seeding_again_changes_nothing(shop: httpx.Client, shop_database: str) -> None:
    before = stock_of(shop, "storm-lantern")
    first, second = manage(shop_database, "seed"), manage(shop_database, "seed")
    assert first == second
    assert stock_of(shop, "storm-lantern") == before


def test_the_models_and_the_migrations_agree(shop_database: str) -> None:
    assert "No changes detected" in manage(shop_database, "makemigrations", "--check", "--dry-run")
    assert "no issues" in manage(shop_database, "check", "--fail-level", "WARNING")


@pytest.mark.parametrize("shop_database", ["postgresql"], indirect=True)
def test_there_is_at_most_one_database_connection_per_thread(
    shop_server: Server, shop_database: str, postgres: PostgresServer
) -> None:
    with visitor(shop_server.url) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get("/").status_code, range(300)))
    assert answers == [200] * 300
    assert 1 <= postgres.connections(shop_database.rpartition("/")[2]) <= POOL_THREADS


def token(client: httpx.Client) -> dict[str, str]:
    """The hidden field that Django requires in each form; the login page sets its cookie."""
    if "csrftoken" not in client.cookies:
        client.get("/login/")
    return {"csrfmiddlewaretoken": client.cookies["csrftoken"]}


def log_in(
    client: httpx.Client, name: str, password: str, *, form: str = "/login/", to: str = "/"
) -> httpx.Response:
    """Fill in the login form."""
    fields = {"username": name, "password": password, "next": to}
    return client.post(form, data=fields | token(client))


def put_into_basket(client: httpx.Client, slug: str, quantity: int) -> str:
    """Post the form of a product page, and return the text of the next page."""
    return _post(
        client, f"/products/{slug}/", f"/products/{slug}/", {"quantity": str(quantity)}
    ).text


def change_basket(client: httpx.Client, slug: str, quantity: int) -> str:
    """Post the form of one line of the basket."""
    return _post(client, "/basket/", f"/basket/{slug}/", {"quantity": str(quantity)}).text


def check_out(
    client: httpx.Client, fields: dict[str, str], before: Callable[[], object] = bool
) -> httpx.Response:
    """Post the form of the checkout.

    :param before: called after the form has been loaded and before it is sent.
    """
    return _post(client, "/checkout/", "/checkout/", fields, before)


def stock_of(client: httpx.Client, slug: str) -> int:
    """The stock shown on a product page."""
    text = Page(client.get(f"/products/{slug}/").text).text
    return int(text.partition(" in stock")[0].split()[-1]) if " in stock" in text else 0


def _post(
    client: httpx.Client,
    page: str,
    action: str,
    fields: dict[str, str],
    before: Callable[[], object] = bool,
) -> httpx.Response:
    hidden = Page(client.get(page).text).fields.get("csrfmiddlewaretoken", "")
    before()
    return client.post(action, data={**fields, "csrfmiddlewaretoken": hidden})

"""``examples/demo.py``: all examples on one port, startup and shutdown."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.examples.conftest import TIMEOUT_S, visitor
from tests.examples.pages import Page
from tests.examples.projects import ASGI_TOUR, DEMO, Demo, demo_environment, running_demo


def test_office_and_shop_are_on_one_port_and_link_to_each_other(demo: Demo) -> None:
    with visitor(demo.url) as client:
        office, shop = Page(client.get("/").text), Page(client.get("/shop/").text)
    assert "ASGI 3.0 server bridge.to_asgi Flask" in office.text
    assert "ASGI 3.0 server bridge.to_asgi Django" in shop.text
    assert "/shop/" in office.addresses
    assert "/" in shop.addresses


def test_the_panel_lists_every_app(demo: Demo) -> None:
    addresses = re.findall(r"http://\S+/", demo.log())
    with visitor(demo.url) as client:
        pages = {address.removeprefix(demo.url): client.get(address) for address in addresses}
    assert set(pages) == {"/", "/api/", "/ws/", "/shop/", "/shop/admin/", "/tour/"}
    assert {answer.status_code for answer in pages.values()} == {200}


def test_the_tour_links_to_each_of_its_apps(demo: Demo) -> None:
    with visitor(demo.url) as client:
        tour = client.get("/tour")
        found = {
            each: tour.url.join(each) for each in Page(tour.text).addresses if each[0] not in "#."
        }
        answers = {each: client.get(url) for each, url in found.items()}
    apps = {path.stem for path in ASGI_TOUR.glob("*.py")} - {"tour", "static_files"}
    assert apps <= {each.partition("/")[0] for each in answers}
    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["hello/"].text == "Hello from an ASGI app.\n"
    assert answers["show_scope/caf%C3%A9?a=1"].json()["root_path"] == "/tour/show_scope"
    assert answers["wsgi_hello/"].text == "Hello from a WSGI app.\n"
    assert answers["lifespan/"].text.startswith("Request ")


def test_the_pages_of_the_tour_work_under_its_prefix(demo: Demo) -> None:
    with visitor(demo.url) as client:
        for app in ("chat", "ticker"):
            answer = client.get(f"/tour/{app}")
            assert answer.url.path == f"/tour/{app}/"
            addresses = [each for each in Page(answer.text).addresses if each[0] not in "#."]
            loaded = [client.get(answer.url.join(each)) for each in addresses]
            assert {each.status_code for each in loaded} == {200}


def test_all_links_of_the_shop_stay_under_its_mount_point(demo: Demo) -> None:
    with visitor(demo.url) as client:
        for path in ("/shop", "/shop/", "/shop/products/hemp-rope/", "/shop/login/"):
            page = Page(client.get(path).text)
            outside = [a for a in page.addresses if not a.startswith(("/shop/", "#"))]
            assert outside == ["/"]  # the office
        assert client.get("/shop/orders/").url == f"{demo.url}/shop/login/?next=/shop/orders/"
        assert client.get("/shop/admin/").url.path == "/shop/admin/login/"
        styles = [a for a in Page(client.get("/shop/admin/").text).addresses if ".css" in a]
        assert styles
        assert {client.get(address).status_code for address in styles} == {200}


def test_a_path_that_starts_like_the_shops_prefix_is_served_by_the_office(demo: Demo) -> None:
    answer = httpx.get(f"{demo.url}/shopping", headers={"Accept": "text/html"}, timeout=TIMEOUT_S)
    assert answer.status_code == 404
    assert "Harbour Office" in answer.text


def test_office_and_shop_have_separate_sessions(demo: Demo, key: str) -> None:
    with visitor(demo.url) as client:
        product = Page(client.get("/shop/products/harbour-tea/").text)
        token = product.fields["csrfmiddlewaretoken"]
        fields = {"quantity": "2", "csrfmiddlewaretoken": token}
        assert "Basket 2" in Page(client.post("/shop/products/harbour-tea/", data=fields).text).text
        written = client.post("/log", data={"author": "Ada", "text": key})
        assert "Thank you, Ada." in written.text
        assert "Basket 2" in Page(client.get("/shop/").text).text


def test_a_port_in_use_is_reported_and_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running_demo(tmp_path, "--port", str(port)) as demo:
            assert demo.port != port
            assert f"Port {port} is in use by another program" in demo.log()
            assert httpx.get(demo.url, timeout=TIMEOUT_S).status_code == 200


def test_ctrl_c_stops_it_without_a_traceback_while_a_live_board_is_open(tmp_path: Path) -> None:
    with running_demo(tmp_path) as demo:
        with httpx.stream("GET", f"{demo.url}/live/events", timeout=TIMEOUT_S) as stream:
            assert next(stream.iter_lines()) == "retry: 2000"
            assert demo.interrupt() == 0
        assert "Traceback" not in demo.log()
        assert demo.log().rstrip().endswith("Stopped.")


def test_data_is_kept_between_two_runs(tmp_path: Path, key: str) -> None:
    with running_demo(tmp_path) as demo:
        httpx.post(f"{demo.url}/api/log", json={"author": "Ada", "text": key}, timeout=TIMEOUT_S)
        assert demo.interrupt() == 0
    with running_demo(tmp_path) as demo:
        assert key in httpx.get(f"{demo.url}/api/log", timeout=TIMEOUT_S).text


def test_an_unsupported_database_is_reported_without_a_traceback(tmp_path: Path) -> None:
    env = {**demo_environment(tmp_path), "DATABASE_URL": "mysql://ada:secret@localhost/shop"}
    done = subprocess.run(
        [sys.executable, DEMO, "--port", "0"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "The demo cannot start" in done.stdout
    assert "sqlite:///file.sqlite3 and postgresql://" in " ".join(done.stdout.split())
    assert "secret" not in done.stdout + done.stderr


def test_an_address_of_another_machine_is_reported_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, DEMO, "--host", "192.0.2.1", "--port", "0"],
        env=demo_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the address is not available" in done.stdout

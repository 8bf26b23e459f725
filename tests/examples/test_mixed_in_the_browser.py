"""The chat of ``examples/mixed`` in headless Chromium, under gunicorn's gthread worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.examples.projects import MIXED, demo_environment, prepare_shop
from tests.examples.windows import join_chat, send_to_chat, watched_window
from tests.harness.servers import Server, serve

pytestmark = pytest.mark.browser

HOOKS = ("--config", "python:bridge.contrib.gunicorn")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("mixed")
    env = demo_environment(data)
    prepare_shop(env["DATABASE_URL"])
    serving = serve("gunicorn-gthread", "main:app", args=HOOKS, env=env, cwd=MIXED, log_dir=data)
    with serving as server:
        yield server


def test_two_tabs_share_the_chat_with_the_other_apps(browser: Browser, mixed: Server) -> None:
    with watched_window(browser, mixed.url) as window:
        ada, grace = (join_chat(window, name, page="/ws/") for name in ("Ada", "Grace"))
        for tab in (ada, grace):
            expect(tab.locator("#members li")).to_have_text(["Ada", "Grace"])

        send_to_chat(ada, "Ahoy from gunicorn")
        grace.get_by_label("Your entry").fill("Fog over the harbour")
        grace.get_by_role("button", name="Save entry through FastAPI").click()

        for tab in (ada, grace):
            expect(tab.locator("#messages")).to_contain_text("Ahoy from gunicorn")
            expect(tab.locator("#messages")).to_contain_text("Fog over the harbour")
        grace.close()
        expect(ada.locator("#members li")).to_have_text(["Ada"])
    assert "Traceback" not in mixed.log()

"""The documentation builds without warnings, and its pages load nothing from other hosts.

In headless Chromium: what the search finds, the copy buttons, and what is visible on a laptop.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from playwright.sync_api import BrowserContext, Page, expect

import bridge
from bridge.cli.commands import app as bridge_command
from tests.docs.blocks import ROOT
from tests.harness.browser import chromium

BUILD_TIMEOUT_S = 300
REPOSITORY = "https://github.com/example/bridge"
LAPTOP = 1280

pytestmark = pytest.mark.full

# Resources that a browser would load from another host.
_FETCHED = re.compile(
    r"""<(?:link|script|img|iframe|source)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']+"""
    r"""|url\(["']?(?:https?:)?//[^)]+|@import\s+["'](?:https?:)?//"""
)

_ROLE = re.compile(
    r'(<a [^>]*>)?<code class="xref py py-[^"]*"><span class="pre">([\w.()]+)</span>'
)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    out = tmp_path_factory.mktemp("html")
    doctrees = tmp_path_factory.mktemp("doctrees")
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    ran = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", str(doctrees), "docs", str(out)],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BRIDGE_REPOSITORY": REPOSITORY,
            "no_proxy": "",
            "https_proxy": "http://[::1]:9",
        },
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return out


def test_it_builds_without_warnings(html: Path) -> None:
    assert (html / "index.html").is_file()


def test_every_page_is_built(html: Path) -> None:
    sources = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    sources = {page for page in sources if "_build" not in page.parts}

    assert {page for page in sources if not (html / page).with_suffix(".html").is_file()} == set()


def test_nothing_is_loaded_from_another_host(html: Path) -> None:
    files = [*html.rglob("*.html"), *html.rglob("*.css"), *html.rglob("*.svg")]

    fetched = {
        f"{file.relative_to(html)}: {found}"
        for file in files
        for found in _FETCHED.findall(file.read_text("utf-8"))
    }
    assert fetched == set()


def test_each_option_of_each_command_has_an_anchor(html: Path) -> None:
    pages = [html / "reference" / name for name in ("command.html", "migrate.html")]
    anchors = set(re.findall(r'id="(cmdoption-[\w-]+)"', "".join(map(Path.read_text, pages))))

    options = set(options_of(bridge_command, "bridge"))
    assert "cmdoption-bridge-run-grace-s" in options
    assert options - anchors == set()


def options_of(command: click.Command, program: str) -> Iterator[str]:
    """The anchors of all options of a command, or of the commands of a group."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from options_of(each, f"{program}-{name}")
    else:
        options = (each for each in command.params if isinstance(each, click.Option))
        names = (name for option in options for name in option.opts)
        yield from (f"cmdoption-{program}-{name.lstrip('-')}" for name in names)


def test_every_module_has_a_sentence(html: Path) -> None:
    page = (html / "modules.html").read_text("utf-8")
    names = {path.stem for path in (ROOT / "bridge").rglob("*.py")}

    assert {name for name in names if f'<span class="pre">{name}</span>' not in page} == set()


def test_a_page_links_to_its_source(html: Path) -> None:
    page = (html / "howto" / "run.html").read_text("utf-8")

    assert f'href="{REPOSITORY}/edit/main/docs/howto/run.md" rel="edit"' in page
    assert (html / "_sources" / "howto" / "run.md.txt").is_file()


def test_the_reference_links_to_the_code(html: Path) -> None:
    page = (html / "reference" / "to-asgi.html").read_text("utf-8")

    assert 'href="../_modules/bridge/convert.html#to_asgi"' in page


def test_references_to_names_of_bridge_are_links(html: Path) -> None:
    """Sphinx renders a role without a target as plain text, without a warning."""
    broken = {
        f"{page.relative_to(html)}: {name}"
        for page in html.rglob("*.html")
        for link, name in _ROLE.findall(page.read_text("utf-8"))
        if not link and (name.startswith("bridge.") or hasattr(bridge, name.strip("()")))
    }
    assert broken == set()


# -- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as browser:
        yield browser.new_context(viewport={"width": LAPTOP, "height": 800})


@pytest.fixture
def tab(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("timeout", "reference/limits.html"),
        ("max body size", "reference/limits.html"),
        ("vulnerability", "security.html"),
        ("websocket origin", "reference/to-wsgi.html#websocket-origin"),
        ("versions", "reference/versions.html"),
    ],
)
def test_the_search_finds(tab: Page, html: Path, query: str, first: str) -> None:
    tab.goto(f"{html.as_uri()}/search.html?q={quote(query)}")

    found = tab.locator("ul.search > li > a").first
    expect(found).to_have_attribute("href", re.compile(rf"^{re.escape(first)}(#|\?|$)"))


@pytest.mark.browser
def test_the_contents_of_a_page_are_beside_it_on_a_laptop(tab: Page, html: Path) -> None:
    tab.goto((html / "reference" / "limits.html").as_uri())

    contents = tab.locator(".toc-drawer").bounding_box()
    text = tab.locator(".content").bounding_box()
    assert contents is not None
    assert text is not None
    assert text["x"] + text["width"] <= contents["x"]
    assert contents["x"] + contents["width"] <= LAPTOP
    assert tab.evaluate("document.documentElement.scrollWidth") <= LAPTOP


@pytest.mark.browser
def test_a_copied_command_has_neither_prompt_nor_output(tab: Page, html: Path) -> None:
    tab.goto((html / "howto" / "run.html").as_uri())
    block = tab.locator(".highlight-console", has_text="$ bridge run main:site --reload")
    tab.evaluate("document.addEventListener('copy', () => { window.copied = `${getSelection()}` })")

    block.hover()
    block.get_by_role("button").click()

    tab.wait_for_function("window.copied !== undefined")
    assert tab.evaluate("window.copied").strip() == "bridge run main:site --reload"

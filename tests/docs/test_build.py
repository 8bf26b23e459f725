"""The documentation builds without warnings, and its pages load nothing from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bridge
from tests.docs.blocks import ROOT

BUILD_TIMEOUT_S = 300

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


def test_the_reference_shows_the_help_of_the_command(html: Path) -> None:
    page = (html / "reference" / "command.html").read_text("utf-8")

    assert "$ bridge run --help" in page
    assert "--grace-s" in page


def test_references_to_names_of_bridge_are_links(html: Path) -> None:
    """Sphinx renders a role without a target as plain text, without a warning."""
    broken = {
        f"{page.relative_to(html)}: {name}"
        for page in html.rglob("*.html")
        for link, name in _ROLE.findall(page.read_text("utf-8"))
        if not link and (name.startswith("bridge.") or hasattr(bridge, name.strip("()")))
    }
    assert broken == set()

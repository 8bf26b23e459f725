"""Every code block of the documentation and of the README works: the code of each page is run.

``tests/docs/page.py`` has the rules. Pages that start servers belong to the full suite.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, Block, blocks_of, pages
from tests.docs.console import commands_of
from tests.docs.nginx import path_of_nginx
from tests.harness.tools import find_program, skip_without

PAGE_TIMEOUT_S = 300.0
CHECKED = ("python", "pycon", "console", "nginx")


def blocks_to_run(page: Path) -> list[Block]:
    found = blocks_of(page.read_text("utf-8"))
    return [block for block in found if block.is_run and block.language in CHECKED]


def parameters() -> list[Any]:
    """The pages with code; those that start servers are marked."""
    with_code = [(page, blocks_to_run(page)) for page in pages()]
    return [
        pytest.param(page, marks=marks_of(blocks), id=str(page.relative_to(ROOT)))
        for page, blocks in with_code
        if blocks
    ]


def marks_of(blocks: list[Block]) -> list[pytest.MarkDecorator]:
    commands = [
        command
        for block in blocks
        if block.language == "console"
        for command in commands_of(block.code)
    ]
    return [pytest.mark.full] if any(command.is_server for command in commands) else []


def require_programs(blocks: list[Block]) -> None:
    """Skip or fail the test if a program that the page uses is not installed."""
    if any(block.language == "nginx" for block in blocks) and path_of_nginx() is None:
        skip_without("nginx", "nginx")
    if any("$ curl " in block.code for block in blocks):
        find_program("curl", package="curl")


@pytest.mark.parametrize("page", parameters())
def test_the_code_of_a_page_works(page: Path) -> None:
    require_programs(blocks_to_run(page))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.page", str(page)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PAGE_TIMEOUT_S,
    )

    assert ran.returncode == 0, ran.stdout


def test_a_block_that_is_not_run_has_a_reason() -> None:
    without_reason = [
        f"{page.relative_to(ROOT)}:{block.line}"
        for page in pages()
        for block in blocks_of(page.read_text("utf-8"))
        if block.notes.get("not run") == ""
    ]

    assert not without_reason


def test_blocks_use_known_languages_only() -> None:
    """A block of ``py`` or ``python3`` would look the same but would not be run."""
    known = {"python", "pycon", "console", "text", "nginx", "ini", "toml", "http", "eval-rst"}
    known |= {"yaml", "html", "raw", "include", "toctree", ""}
    known |= {"command-help", "module-list", "python-versions", "package-versions"}
    unknown = {
        f"{page.relative_to(ROOT)}:{block.line}: {block.language}"
        for page in pages()
        for block in blocks_of(page.read_text("utf-8"))
        if block.language not in known
    }

    assert not unknown


def test_how_to_guides_install_bridge_by_the_path_of_its_clone() -> None:
    """Their reader is in the folder of a project, where ``pip install .`` installs the project."""
    wrong = [
        f"{page.relative_to(ROOT)}:{block.line}"
        for page in pages()
        if page.parent.name == "howto"
        for block in blocks_of(page.read_text("utf-8"))
        if block.language == "console" and re.search(r"pip install .*'\.\[", block.code)
    ]

    assert not wrong

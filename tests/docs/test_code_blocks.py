"""Every code block of the documentation and the README is true: each page is carried out.

``tests/docs/page.py`` says what that means. Pages that start servers belong to the full suite.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, Block, blocks_of, pages
from tests.docs.console import commands_of
from tests.docs.nginx import path_of_nginx
from tests.harness.tools import missing, program

PAGE_TIMEOUT_S = 300.0
CHECKED = ("python", "pycon", "console", "nginx")


def blocks_to_run(page: Path) -> list[Block]:
    found = blocks_of(page.read_text("utf-8"))
    return [block for block in found if block.is_run and block.language in CHECKED]


def parameters() -> list[Any]:
    """The pages with code, those with servers marked."""
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
    """End the test for want of a program that the page uses."""
    if any(block.language == "nginx" for block in blocks) and path_of_nginx() is None:
        missing("nginx", "nginx")
    if any("$ curl " in block.code for block in blocks):
        program("curl", package="curl")


@pytest.mark.parametrize("page", parameters())
def test_a_page_does_what_it_says(page: Path) -> None:
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


def test_a_block_that_is_not_run_says_why() -> None:
    silent = [
        f"{page.relative_to(ROOT)}:{block.line}"
        for page in pages()
        for block in blocks_of(page.read_text("utf-8"))
        if block.notes.get("not run") == ""
    ]

    assert not silent


def test_python_is_never_hidden_under_another_name() -> None:
    """A block of ``py`` or ``python3`` would look the same and never run."""
    known = {"python", "pycon", "console", "text", "nginx", "ini", "toml", "http", "eval-rst"}
    known |= {"yaml", "html", "raw", "include", "toctree", "command-help", ""}
    strange = {
        f"{page.relative_to(ROOT)}:{block.line}: {block.language}"
        for page in pages()
        for block in blocks_of(page.read_text("utf-8"))
        if block.language not in known
    }

    assert not strange

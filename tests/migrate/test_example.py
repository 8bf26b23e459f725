"""``examples/migration``: the commands of the tutorial turn ``before`` into ``after``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.blocks import ROOT, blocks_of
from tests.docs.console import commands_of
from tests.harness.http import Http1Client
from tests.harness.wheels import empty_wheel
from tests.migrate.starting import started

EXAMPLE = ROOT / "examples" / "migration"
PAGE = ROOT / "docs" / "tutorial" / "migrate.md"
PAGES = ("/", "/about/", "/prices/", "/missing/")


def files_in(folder: Path) -> dict[str, str]:
    """Every file, except bytecode caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def commands_in(page: Path) -> list[list[str]]:
    """The words of each ``bridge migrate fix`` on a page."""
    blocks = [each for each in blocks_of(page.read_text("utf-8")) if each.language == "console"]
    commands = [command.arguments for block in blocks for command in commands_of(block.code)]
    return [words for words in commands if words[:3] == ["bridge", "migrate", "fix"]]


def served(folder: Path) -> dict[str, tuple[int, bytes]]:
    with started(folder) as server:
        found = {page: Http1Client(server.port).fetch("GET", page) for page in PAGES}
    return {page: (answer.status, answer.body) for page, answer in found.items()}


def test_the_tutorial_shows_the_example() -> None:
    before, after = files_in(EXAMPLE / "before"), files_in(EXAMPLE / "after")
    captions = [each for each in blocks_of(PAGE.read_text("utf-8")) if each.caption is not None]
    shown = {each.caption: each.code for each in captions}

    assert shown == {name: text for name, text in before.items() if text}
    assert set(after) - set(before) == {"library/asgi.py"}


def test_the_readme_names_the_same_commands() -> None:
    writing = [words for words in commands_in(PAGE) if "--write" in words]
    assert commands_in(EXAMPLE / "README.md") == writing


def test_the_commands_turn_before_into_after(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    shutil.copytree(EXAMPLE / "before", folder)
    wheels = str(empty_wheel(tmp_path / "wheels").parent)
    for words in commands_in(PAGE):
        ran = subprocess.run(
            [sys.executable, "-m", *words, "--fail-level", "never"],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PIP_FIND_LINKS": wheels},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    assert files_in(folder) == files_in(EXAMPLE / "after")


def test_both_serve_the_same_pages(tmp_path: Path) -> None:
    copies = [shutil.copytree(EXAMPLE / name, tmp_path / name) for name in ("before", "after")]
    before, after = map(served, copies)

    assert after == before
    assert [before[page][0] for page in PAGES] == [200, 200, 200, 404]
    assert re.fullmatch(rb"The library: .*\n", before["/"][1])

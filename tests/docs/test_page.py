"""The page runner detects every kind of mistake in a page; each is made here once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.console import commands_of, matches, missing_lines, without_address

TIMEOUT_S = 120

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\\n"]
"""


def fence(language: str, code: str, *, caption: str = "", note: str = "") -> str:
    head = f"{{code-block}} {language}\n:caption: {caption}\n" if caption else language
    return f"{note}\n```{head}\n{code.strip()}\n```\n"


def run_page(tmp_path: Path, *parts: str) -> tuple[int, str]:
    """Run a page of these parts, and return its exit code and its output."""
    page = tmp_path / "page.md"
    page.write_text("\n".join(["# A page", *parts]), "utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.page", str(page)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    return ran.returncode, ran.stdout


CORRECT = {
    "blocks share a namespace": [fence("python", "x = 1"), fence("python", "assert x == 1")],
    "an app that answers": [fence("python", HELLO)],
    "a path to request": [
        fence("python", HELLO.replace("200 OK", "204 No Content"), note="<!-- path: /there -->")
    ],
    "a block that is not run": [fence("python", "1 / 0", note="<!-- not run: it divides -->")],
    "a test that passes": [fence("python", "def test_it():\n    assert True")],
    "an async test that passes": [fence("python", "async def test_it():\n    assert True")],
    "a doctest": [fence("pycon", ">>> 1 + 1\n2")],
    "a command": [fence("console", "$ echo one two\none ...")],
    "a command that must fail": [fence("console", "$ false", note="<!-- fails -->")],
    "a file that a command reads": [
        fence("python", "x = 1", caption="one.py"),
        fence("console", "$ python -c 'import one; print(one.x)'\n1"),
    ],
    "a change of folder": [
        fence("text", "here", caption="below/there.txt"),
        fence("console", "$ cd below\n$ cat there.txt\nhere"),
    ],
    "an extra of bridge": [fence("console", "$ pip install '.[cli,uvicorn]'")],
    "a target of make": [fence("console", "$ make demo PORT=1")],
    "a language that is not run": [fence("text", "anything")],
}

WRONG = {
    "code that raises": ([fence("python", "1 / 0")], "ZeroDivisionError"),
    "an app that raises": (
        [fence("python", "def app(environ, start_response):\n    1 / 0")],
        "ZeroDivisionError",
    ),
    "an app without a page": (
        [fence("python", HELLO.replace("200 OK", "404 Not Found"))],
        "GET /: 404",
    ),
    "an app in a file": (
        [fence("python", HELLO.replace("200 OK", "500 Oh No"), caption="main.py")],
        "GET /: 500",
    ),
    "a name that does not exist": ([fence("python", "import bridge\nbridge.to_rsgi")], "to_rsgi"),
    "a test that fails": ([fence("python", "def test_it():\n    assert 1 == 2")], "test_it"),
    "an async test that fails": (
        [fence("python", "async def test_it():\n    assert 1 == 2")],
        "test_it",
    ),
    "a doctest with another result": ([fence("pycon", ">>> 1 + 1\n3")], "Expected"),
    "a command that fails": ([fence("console", "$ ls no-such-file")], "$ ls no-such-file"),
    "a command that prints something else": ([fence("console", "$ echo one\ntwo")], "page shows"),
    "a command that should have failed": (
        [fence("console", "$ true", note="<!-- fails -->")],
        "$ true",
    ),
    "a file that nothing reads": (
        [fence("python", "x = 1", caption="one.py")],
        "nothing on the page uses ['one.py']",
    ),
    "an extra that does not exist": ([fence("console", "$ pip install '.[rsgi]'")], "'rsgi'"),
    "a target that does not exist": ([fence("console", "$ make haste")], "'haste'"),
    "a console without a command": ([fence("console", "echo one")], "begins with a command"),
    "a block without an end": (["```python\nx = 1"], "line 2: this block is not closed"),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_page_passes(name: str, tmp_path: Path) -> None:
    code, output = run_page(tmp_path, *CORRECT[name])

    assert code == 0, output


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_fails_with_the_reason(name: str, tmp_path: Path) -> None:
    parts, message = WRONG[name]

    code, output = run_page(tmp_path, *parts)

    assert code != 0, output
    assert message in output


def test_a_traceback_has_the_line_of_the_page(tmp_path: Path) -> None:
    _, output = run_page(tmp_path, "text\n", fence("python", "x = 1\n\n1 / 0"))

    lines = (tmp_path / "page.md").read_text("utf-8").splitlines()
    assert f'page.md", line {lines.index("1 / 0") + 1}' in output


@pytest.mark.full
@pytest.mark.parametrize("server", ["uvicorn main:app", "hypercorn main:app", "bridge run main"])
def test_a_server_is_started_and_gets_a_request(server: str, tmp_path: Path) -> None:
    wrapped = f"import bridge\n{HELLO}\napp = bridge.to_asgi(app)"
    main = fence("python", wrapped, caption="main.py")
    curl = fence("console", f"$ {server}\n$ curl -s http://127.0.0.1:8000/\nhello")

    code, output = run_page(tmp_path, main, curl)

    assert code == 0, output


@pytest.mark.full
@pytest.mark.parametrize(
    ("console", "message"),
    [
        ("$ uvicorn main:ap", "exited with"),
        ("$ uvicorn main:app\nINFO:     Something else", "not in the log"),
        ("$ uvicorn main:app\n$ curl -s http://127.0.0.1:8000/\ngood-bye", "the page shows"),
    ],
)
def test_output_that_the_page_does_not_show_fails(
    console: str, message: str, tmp_path: Path
) -> None:
    wrapped = f"import bridge\n{HELLO}\napp = bridge.to_asgi(app)"
    main = fence("python", wrapped, caption="main.py")

    code, output = run_page(tmp_path, main, fence("console", console))

    assert code != 0, output
    assert message in output


# -- pure functions --------------------------------------------------------------------------------


def test_blocks_have_their_line_caption_and_notes() -> None:
    page = (
        "# Page\n\n<!-- path: /x -->\n```{code-block} python\n:caption: a.py\n\nx = 1\n```\n"
        "words\n```python\ny = 2\n```\n"
    )

    assert list(blocks_of(page)) == [
        Block("python", "x = 1\n", 7, "a.py", {"path": "/x"}),
        Block("python", "y = 2\n", 11),
    ]


def test_a_note_applies_only_to_the_block_right_below_it() -> None:
    page = "<!-- not run: why -->\n\nwords between\n\n```python\nx\n```\n"

    assert [block.is_run for block in blocks_of(page)] == [True]


def test_longer_fences_contain_shorter_ones() -> None:
    page = "````text\n```python\n1 / 0\n```\n````\n"

    assert [block.language for block in blocks_of(page)] == ["text"]


def test_commands_have_their_output_and_continue_after_a_backslash() -> None:
    code = "$ one \\\n  --more\nout 1\nout 2\n$ two\n"

    commands = commands_of(code)

    assert [(each.text, each.shown) for each in commands] == [
        ("one \\\n  --more", "out 1\nout 2\n"),
        ("two", ""),
    ]


def test_addresses_are_removed_from_a_command_line() -> None:
    arguments = ["main:app", "--port", "80", "--workers", "2", "--bind=x", "-b", "y", "--reload"]

    assert without_address(arguments) == ["main:app", "--workers", "2", "--reload"]


def test_dots_match_anything_in_output_and_log() -> None:
    assert matches("version ... of it\n", "version 1.2 of it\n")
    assert not matches("version ... of it\n", "no version\n")
    assert matches("at 14:03:27\n", "at 09:59:01\n")
    assert missing_lines("started [...]\nmissing\n", "12:00 started [77] now\n") == ["missing"]

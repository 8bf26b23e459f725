"""V409: blocking calls in async code."""

from __future__ import annotations

import sys

import pytest

from bridge.migrate.findings import Severity
from bridge.migrate.rule import select_rules
from bridge.migrate.rules import v409_blocking_calls
from bridge.migrate.runner import check
from tests.migrate.helpers import check_noop, findings, project_of

HEAD = "import asyncio\nimport subprocess\nimport time\n\nimport requests\n\n\n"


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(1)",
        "requests.get('http://x')",
        "subprocess.run(['ls'])",
        "open('x')",
        "input()",
    ],
)
def test_a_blocking_call_is_found(line: str) -> None:
    found = findings({"shop/code.py": HEAD + f"async def f():\n    {line}\n"}, "V409")

    assert [(str(each.path), each.line, each.column) for each in found] == [("shop/code.py", 9, 5)]
    assert found[0].line_text == line
    assert found[0].native is Severity.WARNING


def test_sync_functions_and_awaited_calls_are_ignored() -> None:
    check_noop("V409", HEAD + "def f():\n    time.sleep(1)\n")
    check_noop("V409", HEAD + "async def f():\n    await asyncio.sleep(1)\n")
    check_noop("V409", HEAD + "async def f():\n    await asyncio.to_thread(time.sleep, 1)\n")


def test_tests_are_ignored() -> None:
    check_noop("V409", HEAD + "async def f():\n    time.sleep(1)\n", path="tests/test_a.py")


def test_comments_suppress_it() -> None:
    for comment in ("bridge: ignore[V409] at startup", "noqa: ASYNC251"):
        check_noop("V409", HEAD + f"async def f():\n    time.sleep(1)  # {comment}\n")


def test_ruff_settings_of_the_project_are_ignored() -> None:
    code = HEAD + "async def f():\n    time.sleep(1)\n"
    own = {"pyproject.toml": "[tool.ruff]\nexclude = ['*']\n"}

    assert len(findings({**own, "shop/code.py": code}, "V409")) == 1


def test_unwritten_changes_are_checked() -> None:
    with project_of({"shop/code.py": HEAD + "async def f():\n    time.sleep(1)\n"}) as project:
        path = project.modules[0].path
        old = project.text_of(path)
        new = type(old)(f"# a line more\n{old.text}", old.encoding, old.newline)
        found = check(project.with_texts({path: new}), select_rules(["V409"])).findings

    assert [each.line for each in found] == [10]


def test_a_missing_ruff_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v409_blocking_calls, "find_ruff", lambda: None)
    found = findings({"shop/code.py": "async def f():\n    pass\n"}, "V409")

    assert [(each.line, each.native) for each in found] == [(0, Severity.INFO)]
    assert "ruff is not installed: 1 file " in found[0].message
    check_noop("V409", "def f():\n    pass\n")


def test_a_failing_ruff_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v409_blocking_calls, "find_ruff", lambda: sys.executable)
    (found,) = findings({"shop/code.py": "async def f():\n    pass\n"}, "V409")

    assert found.message.startswith("ruff failed (")
    assert "No such file" in found.message
    assert "code.py" not in found.message
    assert "\n" not in found.message

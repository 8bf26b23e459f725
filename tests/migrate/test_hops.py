"""The computed number of hops is the number that Django makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.migrate import introspect_script
from bridge.migrate.facts import MiddlewareFact
from bridge.migrate.hops import hops, innermost_sync_only, returns
from tests.harness.servers import ROOT


def fact(data: dict[str, Any]) -> MiddlewareFact:
    lists: dict[str, Any] = {key: tuple(each) for key, each in data.items() if type(each) is list}
    return MiddlewareFact(**{**data, **lists})


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Ten chains, three views each: the probed facts, and the counted hops."""
    script = Path(introspect_script.__file__).read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "tests.migrate.apps.count_hops"],
        input=script,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        timeout=120,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def computed(row: dict[str, Any]) -> int:
    facts = [fact(each) for each in row["facts"]]
    view = row["view"]
    return len(hops(facts, is_async_view=view == "async", is_template=view == "template"))


def test_each_submission_to_an_executor_is_counted(rows: list[dict[str, Any]]) -> None:
    assert {row["status"] for row in rows} == {200}
    assert len({row["chain"] for row in rows}) == 10
    wrong = [row for row in rows if computed(row) != row["counted"]]
    assert [(row["chain"], row["view"], computed(row), row["counted"]) for row in wrong] == []


def test_startproject_makes_sixteen(rows: list[dict[str, Any]]) -> None:
    assert [
        row["counted"] for row in rows if (row["chain"], row["view"]) == ("startproject", "sync")
    ] == [16]


def sync_only(path: str) -> MiddlewareFact:
    return MiddlewareFact(path)


def mixin(path: str) -> MiddlewareFact:
    return MiddlewareFact(
        path, async_capable=True, hooks=("process_request", "process_response"), is_mixin=True
    )


def test_hops_are_in_the_order_of_a_request() -> None:
    chain = [sync_only("a.Outer"), mixin("a.Inner")]

    assert [str(hop) for hop in hops(chain, is_async_view=False)] == [
        "request_started",
        "enter sync middleware",
        "Inner.process_request",
        "view",
        "Inner.process_response",
        "response.close",
    ]


def test_each_return_to_the_loop_is_counted() -> None:
    assert returns([mixin("a.A")]) == 0
    assert returns([sync_only("a.A"), mixin("a.B")]) == 1


def test_the_innermost_sync_only_is_the_last_one_used() -> None:
    unused = MiddlewareFact("a.Unused", is_used=False)

    assert innermost_sync_only([sync_only("a.A"), mixin("a.B"), unused]) == sync_only("a.A")
    assert innermost_sync_only([mixin("a.B")]) is None

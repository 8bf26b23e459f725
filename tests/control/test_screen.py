"""The tables of ``bridge top``, from answers that may have anything in them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bridge.cli.control.figures import picture_of
from bridge.cli.control.screen import Order, screen_of
from bridge.cli.control.traces import text_of
from bridge.control.client import Report
from tests.control.picture import picture, row, worker


def drawn(shown: Any, order: Order = Order.TIME, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    console.print(screen_of(shown, order, height=height))
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def test_a_process_has_its_threads_queue_lag_rate_and_percentiles() -> None:
    (line,) = (each for each in drawn(picture()).splitlines() if " 4250 " in each[:12])

    assert line.split()[1:-1] == [
        *("4250", "2h", "8/8", "14", "910ms", "3", "1.1ms", "117.0", "18ms", "1.4s", "1")
    ]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (Order.TIME, "/shop/report/2026"),
        (Order.PATH, "/api/prices"),
        (Order.THREAD, "/api/prices"),
        (Order.PROCESS, "/shop/report/2026"),
    ],
)
def test_requests_are_sorted(order: Order, first: str) -> None:
    lines = drawn(picture(), order).splitlines()
    head = next(number for number, line in enumerate(lines) if " REQUEST" in line)

    assert first in lines[head + 1]


def test_each_order_has_a_next_one() -> None:
    order, seen = Order.TIME, []
    for _ in Order:
        seen.append(order)
        order = order.next

    assert order is Order.TIME
    assert set(seen) == set(Order)


def test_what_does_not_fit_is_counted() -> None:
    text = drawn(picture(), height=15)

    assert "7 more" in text
    assert text.count("/shop/report") == 5


def test_a_process_without_an_answer_has_its_problem() -> None:
    shown = picture_of([Report(7, None, "no answer\x1b[2J"), worker(8, 1.0)])
    text = drawn(shown)

    assert r"no answer\x1b[2J" in text
    assert "\x1b" not in text


def test_texts_of_a_client_are_escaped() -> None:
    evil = "/a\x1b]0;x\x07\n\u202e"
    rows = [row(evil, evil, 1.0, None, mount=evil, method=evil, kind="http")]
    text = drawn(picture_of([worker(8, 1.0, work=rows)]))

    assert not set(text) & {"\x1b", "\x07", "\u202e"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"work": 1, "pools": "x", "loops": None, "requests": [], "now": "x", "omitted": "x"},
        {"work": [1, {}], "pools": [{"running": "x"}], "loops": [{}], "requests": {"p50_s": []}},
        {"work": [{"for_s": "x", "what": None, "kind": []}]},
    ],
)
def test_an_answer_that_lacks_what_it_should_have_is_shown_all_the_same(answer: Any) -> None:
    assert "running" in drawn(picture_of([Report(8, answer)], [Report(8, answer)]))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"busy": 1, "blocked": "x", "idle": None},
        {"busy": [{"stack": 1}, 2], "blocked": [{"stack": [1, {}]}], "idle": [{}]},
    ],
)
def test_stacks_that_lack_what_they_should_have_are_printed_all_the_same(answer: Any) -> None:
    assert text_of([Report(8, answer)]).startswith("process 8: ")


def test_stacks_of_a_process_that_answers_anything_are_escaped() -> None:
    evil = "\x1b[2J\n"
    frame = {"file": evil, "line": evil, "function": evil, "text": evil}
    idle = {"kind": evil, "name": evil, "at": evil, "line": evil, "count": evil}
    busy = {"kind": evil, "what": evil, "thread": evil, "mount": evil, "stack": [frame]}
    answer = {"busy": [busy], "blocked": [{"name": evil, "stack": [frame]}], "idle": [idle]}

    text = text_of([Report(8, answer), Report(9, None, evil)])

    assert not [each for each in text if not each.isprintable() and each != "\n"]

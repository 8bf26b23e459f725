"""The benchmarks without a run: verdicts on targets, and reports, for given samples.

`tests/cli/test_bench.py` tests `bridge bench`, which shares the code that starts and loads servers,
on real servers.
"""

from __future__ import annotations

import heapq
import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks import loop_lag, overload, report, sizing
from benchmarks.free_threading import send_many
from benchmarks.inline import inline
from benchmarks.machine import facts
from benchmarks.requests_in_process import asgi_requests, make_scope
from benchmarks.side_by_side import Contender
from benchmarks.targets import Target
from benchmarks.waterfall import Step, draw
from benchmarks.work import WORK, Work
from bridge._http.scope_to_environ import EnvironBuilder
from bridge.types import Environ


def contender(name: str, *rates: float) -> Contender:
    return Contender(name, (), samples=[{"rate": rate, "failed": 0.0} for rate in rates])


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    ours, theirs = contender("bridge", 100, 400, 900), contender("a2wsgi", 100, 200, 300)

    verdict = Target("a2wsgi", 2.0).judge([ours, theirs])

    assert verdict is not None
    assert (verdict.values, verdict.reached, verdict.is_reached) == ([1, 2, 3], 2, True)


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target("a2wsgi", 2.01), False),
        (Target("a2wsgi", 2.0, at_most=True), True),
        (Target("a2wsgi", 1.99, at_most=True), False),
        (Target(100.0, 2.0), True),
        (Target(None, 200), True),
        (Target("bridge", 0.6, base="a2wsgi"), False),
    ],
)
def test_a_limit_is_a_minimum_or_a_maximum(target: Target, reached: bool) -> None:
    verdict = target.judge([contender("bridge", 200), contender("a2wsgi", 100)])

    assert verdict is not None
    assert verdict.is_reached is reached


def test_a_target_without_measurements_has_no_verdict() -> None:
    assert Target("a2wsgi", 2).judge([contender("bridge", 1)]) is None
    assert (
        Target("a2wsgi", 2, metric="p99_ms").judge([contender(n, 1) for n in ("bridge", "a2wsgi")])
        is None
    )


@pytest.mark.parametrize("name", WORK)
def test_every_target_names_contenders_of_its_work(name: str) -> None:
    work = WORK[name]
    names = {each.name for each in work.contenders()}

    named = {target.base for target in work.targets}
    named |= {target.against for target in work.targets if isinstance(target.against, str)}
    assert named <= names


def test_pages_and_pictures_can_be_created_again_from_the_json(tmp_path: Path) -> None:
    results = report.Results(facts(), {"rounds": 2, "seconds": 3, "quick": False})
    work = Work("hello", list, (Target("a2wsgi", 4.5),))
    results.add("hello", work, [contender("bridge", 900, 1100), contender("a2wsgi", 200, 200)], 32)
    plot = Work("by threads", list, x_axis="threads")
    results.add("threads", plot, [contender("1", 100), contender("40", 400)], 256)
    results.waterfall = [{"name": "parse", "actor": "loop", "start_us": 0.0, "end_us": 5.0}]
    results.growth = [
        {"name": "body", "title": "t", "x": "KB", "y": "µs", "lines": {"bridge": [[0, 1], [9, 3]]}}
    ]
    report.write(results, tmp_path)

    written = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    data: dict[str, Any] = json.loads(written["results.json"])
    assert data["work"]["hello"]["contenders"][0]["median"]["rate"] == 1000
    assert "| hello | a2wsgi | at least 4.5 | 5.00 | yes |" in written["targets.inc"]
    assert "| bridge | 1,000 | 900 - 1,100 |  |" in written["report.inc"]
    assert "| rounds | 2 of 3 s, in turn |" in written["machine.inc"]
    assert {"hello.svg", "threads.svg", "waterfall.svg", "growth-body.svg"} <= set(written)
    again = report.Results(**data)
    report.write(again, tmp_path / "again")
    assert {f.name: f.read_text("utf-8") for f in (tmp_path / "again").iterdir()} == written


def test_facts_of_the_machine_have_no_path() -> None:
    assert "/" not in " ".join(facts().values())


def test_a_waterfall_shows_each_step() -> None:
    picture = draw([Step("in", "loop", 0, 10), Step("app", "worker", 10, 30)])

    assert picture.count("<rect") == 2
    assert "One request to Flask's hello, alone: 30 µs" in picture.replace("&#x27;", "'")


def test_the_inline_limit_builds_the_same_environ_as_bridge() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    scope = make_scope("/a/b")
    with asgi_requests(inline(app), scope) as send_requests:
        send_requests(1)

    ours = EnvironBuilder().build(scope)
    differ = {"SERVER_SOFTWARE", "wsgi.input", "wsgi.errors", "asgi.scope"}
    assert {k: v for k, v in seen[0].items() if k not in differ} == {
        k: v for k, v in ours.items() if k not in differ | {"wsgi.file_wrapper"}
    }


def test_the_requests_that_must_not_fail_without_the_interpreter_lock_do_not_fail_with_it() -> None:
    assert not send_many(400)


def test_the_lag_of_the_loop_is_a_table_and_a_picture_with_every_number(tmp_path: Path) -> None:
    outcomes = [
        loop_lag.Outcome(
            each.name,
            lag_p50_ms=[number + 0.5, 900, 0],
            lag_p99_ms=[10.0 * number + 1.5] * 3,
            echo_p50_ms=[number + 0.2] * 3,
            echo_p99_ms=[number + 0.3] * 3,
            pages=[number + 0.4] * 3,
        )
        for number, each in enumerate(loop_lag.contenders())
    ]
    loop_lag.write(outcomes, {"rounds": 3, "seconds": 1}, tmp_path)
    page = (tmp_path / "loop-lag.inc").read_text("utf-8")
    drawing = (tmp_path / "loop-lag.svg").read_text("utf-8")

    assert "| a2wsgi | 5.5 | 51.5 | 5.2 | 5.3 | 5.4 |" in page
    assert page.count("\n") == 2 + len(outcomes)
    assert drawing.count('<rect class="ours"') == 2 * len(loop_lag.TARGETS_S)
    assert all(f">{value}</text>" in drawing for value in ("5.5", "51.5"))
    json.loads((tmp_path / "loop-lag.json").read_text("utf-8"))


def test_an_overload_is_a_table_and_a_picture_with_every_number() -> None:
    outcomes = [
        overload.Outcome(name, patience_s, multiple, useful=multiple * 7 + patience_s)
        for patience_s in (1.0, 3.0)
        for name in ("bridge", "a2wsgi")
        for multiple in overload.MULTIPLES
    ]

    page, picture = overload.markdown(outcomes), overload.draw(outcomes)

    assert page.splitlines()[2] == "| 1 s | bridge | 8 | 15 | 22 | 36 | 71 |"
    assert len(page.splitlines()) == 2 + 4
    assert picture.count('<rect class="ours"') == 2 * len(overload.MULTIPLES)
    assert "a2wsgi, 10 times, clients wait 3 s: 73" in picture


def served_in_order(count: int, threads: int, load: float) -> list[sizing.Request]:
    """Requests to a perfect server, with exponential gaps and service times, from a fixed seed."""
    chance = random.Random(11)
    free_at, sent, requests = [0.0] * threads, 0.0, list[sizing.Request]()
    for _ in range(count):
        sent += chance.expovariate(threads / 0.1 * load)
        began = max(sent, heapq.heappop(free_at))
        ended = began + chance.expovariate(1 / 0.1)
        heapq.heappush(free_at, ended)
        requests.append(sizing.Request(sent, began, ended))
    return requests


@pytest.mark.parametrize("load", sizing.LOADS)
def test_the_model_of_sizes_agrees_with_a_simulation(load: float) -> None:
    run = sizing.judge("simulated", "exponential", load, served_in_order(60_000, 8, load), 8)

    for measured, of_model in (run.busy, run.waited, run.wait_ms, run.wait_p99_ms):
        assert measured == pytest.approx(of_model, rel=0.1)
    assert run.start_ms == 0


def test_a_table_of_sizes_has_the_median_and_the_spread_of_the_rounds() -> None:
    requests = served_in_order(2000, 8, 0.7)
    runs = [sizing.judge("bridge", "exponential", 0.7, requests, threads) for threads in (8, 9, 10)]

    (row,) = sizing.markdown(runs).splitlines()[2:]

    utilisations = sorted(run.utilisation * 100 for run in runs)
    low, middle, high = (f"{value:.0f}" for value in utilisations)
    assert row.startswith(f"| bridge | exponential | {middle} ({low} - {high}) |")

"""`bridge bench` measures the user's app on real servers, and says what the numbers say.

No test here asks how fast anything is: what is looked at is what was measured, and what is said of
numbers that are given.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.bench.compare import Measured
from bridge.cli.bench.load import Answer, LoadFailed, parse_wrk
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.svg import Bar, Line, bars, lines
from bridge.cli.bench.verdict import verdict
from bridge.cli.bench.ways import Kind, Way
from bridge.cli.options import UsageError
from tests.cli.running import APPS, Finished, bridge

SHORT = ("--seconds", "1", "--rounds", "1", "--connections", "4")


def bench(*args: str, cwd: Path = APPS, env: dict[str, str] | None = None) -> Finished:
    """``bridge bench``, which takes as long as five servers take to start and to end."""
    return bridge("bench", *args, cwd=cwd, env=env, timeout_s=200)


def measured(target: str, *args: str, tmp_path: Path) -> tuple[Finished, dict[str, Any]]:
    """A short measurement, and its JSON."""
    file = tmp_path / "told.json"
    done = bench(target, *SHORT, *args, "--json", str(file))
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return done, told


# -- real servers ----------------------------------------------------------------------------------


@pytest.mark.full
def test_a_wsgi_app_is_measured_in_every_way_and_told_in_every_form(tmp_path: Path) -> None:
    picture = tmp_path / "bars.svg"
    done, told = measured("flask_site:app", "--svg", str(picture), tmp_path=tmp_path)

    kinds = {way["name"]: way["kind"] for way in told["ways"]}
    assert kinds == {
        "bridge on uvicorn": "bridge",
        "a2wsgi on uvicorn": "other",
        "gunicorn gthread": "stay",
        "granian WSGI": "stay",
        "waitress": "stay",
    }
    for way in told["ways"]:
        assert way["problem"] is None
        assert len(way["rounds"]) == 1
        assert way["peak_mb"] > 1
        assert way["name"] in done.out
        assert way["name"] in picture.read_text("utf-8")
    assert told["verdict"]
    assert [line for line in told["verdict"] if line not in done.out.splitlines()] == []


@pytest.mark.full
def test_an_asgi_app_is_measured_the_other_way_round(tmp_path: Path) -> None:
    _, told = measured(
        "fastapi_site:app", "--only", "-k asgi", "--only", "bridge", tmp_path=tmp_path
    )

    assert {way["name"]: way["kind"] for way in told["ways"]} == {
        "bridge on gunicorn gthread": "bridge",
        "gunicorn -k asgi": "stay",
    }
    assert all(way["rounds"] for way in told["ways"])


@pytest.mark.full
def test_a_django_project_is_measured_with_djangos_own_handler_too(tmp_path: Path) -> None:
    _, told = measured("django_shop", "--only", "django", tmp_path=tmp_path)

    assert {way["name"]: way["kind"] for way in told["ways"]} == {
        "bridge.contrib.django on uvicorn": "bridge",
        "Django's ASGI on uvicorn": "other",
    }
    assert all(way["rounds"] for way in told["ways"])


# -- what cannot be measured -----------------------------------------------------------------------


def test_a_page_that_is_not_there_is_named() -> None:
    done = bench("flask_site:app", *SHORT, "--path", "/nowhere", "--only", "waitress")

    assert done.code == 1
    assert done.last_line == (
        "bridge: waitress: /nowhere answers 404; choose another page with --path"
    )


def test_an_app_that_fails_under_load_is_not_called_fast(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import itertools\n"
        "count = itertools.count()\n"
        "def app(environ, start_response):\n"
        "    status = '200 OK' if next(count) < 1 else '503 Busy'\n"
        "    start_response(status, [('Content-Length', '0')])\n"
        "    return []\n"
    )

    done = bench("busy:app", *SHORT, "--only", "waitress", cwd=tmp_path)

    assert done.code == 1, done.out
    assert re.fullmatch(r"bridge: waitress: ([\d,]+) of \1 requests failed", done.last_line)


@pytest.mark.full
def test_without_wrk_and_with_a_way_that_does_not_start_the_others_are_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "picky.py").write_text(
        "import sys\n"
        "if 'uvicorn' in sys.modules:\n"
        "    raise RuntimeError('not on this server')\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n"
        "    return [b'ok']\n"
    )
    only = ["--only", "bridge", "--only", "waitress"]

    done = bench("picky:app", *SHORT, *only, cwd=tmp_path, env={"PATH": str(tmp_path)})

    assert done.code == 0, done.err
    assert "wrk is not installed, so a slower load generator was used" in done.out
    assert "bridge on uvicorn: not measured: did not start: " in done.out
    assert "not on this server" in done.out
    assert "No way with bridge was measured" in done.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nothing:app"], "bridge: cannot load 'nothing:app'"),
        (["flask_site:app", "--path", "shop"], "bridge: --path takes a path of the app"),
        (["flask_site:app", "--only", "apache"], "bridge: --only apache: no way has such a name."),
    ],
)
def test_a_command_line_that_cannot_be_carried_out_is_told(args: list[str], said: str) -> None:
    done = bench(*args)

    assert done.code == 2
    assert done.last_line.startswith(said), done.err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "/a b"}, "--path takes a path of the app, such as /shop"),
        ({"svg": Path("no/x.svg")}, "--svg no/x.svg: there is no folder"),
        ({"json": Path("no/x")}, "--json no/x: there is no folder"),
    ],
)
def test_options_are_checked_before_anything_starts(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        BenchOptions(target="main:app", **wrong)


# -- what the numbers say --------------------------------------------------------------------------


def given(name: str, kind: Kind, *rates: int, failed: int = 0) -> Measured:
    answers = [Answer(rate, 1.0, 1.0, 2.0, failed, 0.0) for rate in rates]
    return Measured(Way(name, kind, (), "plain"), answers)


def test_it_says_stay_where_the_app_is_faster_as_it_is() -> None:
    every = [given("bridge", "bridge", 100, 110, 90), given("granian", "stay", 200, 220, 180)]

    assert verdict(every, "wsgi")[0] == (
        "Stay on WSGI: granian serves this page 2.00 times as fast as bridge. "
        "Move for WebSockets or async code beside it, not for speed."
    )


def test_it_says_move_only_where_every_round_was_faster() -> None:
    ours, theirs = given("bridge", "bridge", 200, 220), given("gthread", "stay", 100, 110)
    once_slower = given("bridge", "bridge", 200, 109)

    assert verdict([ours, theirs], "wsgi")[0].startswith("Move, if speed is what you need: ")
    assert verdict([once_slower, theirs], "wsgi")[0].startswith("Speed is no reason to move: ")


def test_a_difference_of_a_few_percent_is_none() -> None:
    every = [given("bridge", "bridge", 104, 104), given("gthread", "stay", 100, 100)]

    assert verdict(every, "wsgi")[0].startswith("Speed is no reason to move: ")


@pytest.mark.full
def test_an_asgi_app_is_told_what_bridge_is_for() -> None:
    every = [given("bridge", "bridge", 100), given("uvicorn", "stay", 200)]

    assert verdict(every, "asgi")[0].endswith("bridge is for hosts that run WSGI only.")


def test_failed_requests_are_told() -> None:
    every = [given("bridge", "bridge", 100), given("a2wsgi", "other", 300, failed=7)]

    assert verdict(every, "wsgi") == [
        "a2wsgi is 3.00 times as fast as bridge.",
        "a2wsgi: 7 requests failed.",
    ]


def test_a_way_that_fails_is_not_compared() -> None:
    """An error page comes sooner than the page: that is no reason to move."""
    ours, theirs = given("bridge", "bridge", 9000, failed=8900), given("waitress", "stay", 100)
    ours.drop_failing()

    assert ours.problem == "8,900 of 9,000 requests failed"
    assert verdict([ours, theirs], "wsgi") == [
        "No way with bridge was measured, so there is nothing to say about it."
    ]


def test_a_few_failures_leave_it_comparable() -> None:
    ours = given("bridge", "bridge", 1000, failed=10)
    ours.drop_failing()

    assert (ours.problem, ours.failed) == ("", 10)


def test_wrks_output_is_understood_in_every_unit() -> None:
    answer = parse_wrk(
        "  Latency Distribution\n     50%  850.00us\n     75%    1.2ms\n     99%    1.50s\n"
        "  3000 requests in 1.50m, 2.00MB read\n  Socket errors: connect 1, read 2, write 3, "
        "timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec: 33.33\n"
    )

    assert (answer.requests, answer.seconds, answer.bytes) == (3000, 90.0, 2 * 1024**2)
    assert (answer.p50_ms, answer.p99_ms, answer.failed) == (0.85, 1500.0, 15)


def test_output_that_is_not_wrks_is_shown() -> None:
    with pytest.raises(LoadFailed, match="wrk said\nsegmentation fault"):
        parse_wrk("segmentation fault")


def test_pictures_stand_without_colour_and_escape_names() -> None:
    picture = bars("A & B", "requests/s", [Bar("<ours>", 2, 1, 3, ours=True), Bar("b", 1, 1, 1)])

    assert 'class="ours"' in picture
    assert 'class="theirs"' in picture
    assert "&lt;ours&gt;" in picture
    assert "A &amp; B" in picture
    plot = lines("t", "x", "y", [Line("a", [(1, 2), (10, 20)]), Line("b", [(1, 1)])], log_x=True)
    assert plot.count("<circle") == 5  # each point, and one for each line's name

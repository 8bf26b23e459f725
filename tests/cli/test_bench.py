"""`bridge bench` measures the user's app on real servers and reports what the numbers show.

No test depends on how fast anything is: some check what is measured on real servers, the others
what is reported for given numbers.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.bench import report
from bridge.cli.bench.load import LoadFailed, parse_wrk, run_mixed_load
from bridge.cli.bench.measure import NothingMeasured, measure
from bridge.cli.bench.options import BenchOptions
from bridge.cli.bench.processes import HOST, PORT, run_server
from bridge.cli.bench.results import Kind, LoadResult, Measurement, verdict
from bridge.cli.bench.setups import Setup
from bridge.cli.bench.svg import Bar, Line, bars, lines
from bridge.cli.options import UsageError
from tests.cli.running import APPS, Finished, bridge

SHORT = ("--seconds", "1", "--rounds", "1", "--connections", "4")


def bench(*args: str, cwd: Path = APPS, env: dict[str, str] | None = None) -> Finished:
    """``bridge bench``; its timeout allows for five servers that start and stop."""
    return bridge("bench", *args, cwd=cwd, env=env, timeout_s=200)


def measured(target: str, *args: str, tmp_path: Path) -> tuple[Finished, dict[str, Any]]:
    """A short measurement, and its JSON."""
    file = tmp_path / "bench.json"
    done = bench(target, *SHORT, *args, "--json", str(file))
    assert done.code == 0, done.err
    data: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return done, data


# -- real servers ----------------------------------------------------------------------------------


@pytest.mark.full
def test_a_wsgi_app_is_measured_in_every_setup_and_reported_in_every_format(tmp_path: Path) -> None:
    picture = tmp_path / "bars.svg"
    done, data = measured("flask_site:app", "--svg", str(picture), tmp_path=tmp_path)

    kinds = {way["name"]: way["kind"] for way in data["ways"]}
    assert kinds == {
        "bridge on uvicorn": "bridge",
        "a2wsgi on uvicorn": "other",
        "gunicorn gthread": "stay",
        "granian WSGI": "stay",
        "waitress": "stay",
    }
    for way in data["ways"]:
        assert way["problem"] is None
        assert len(way["rounds"]) == 1
        assert way["peak_mb"] > 1
        assert way["name"] in done.out
        assert way["name"] in picture.read_text("utf-8")
    assert data["verdict"]
    assert [line for line in data["verdict"] if line not in done.out.splitlines()] == []


@pytest.mark.full
def test_an_asgi_app_is_measured_on_its_own_server_and_through_bridge_on_gunicorn(
    tmp_path: Path,
) -> None:
    _, data = measured(
        "fastapi_site:app", "--only", "-k asgi", "--only", "bridge", tmp_path=tmp_path
    )

    assert {way["name"]: way["kind"] for way in data["ways"]} == {
        "bridge on gunicorn gthread": "bridge",
        "gunicorn -k asgi": "stay",
    }
    assert all(way["rounds"] for way in data["ways"])


@pytest.mark.full
def test_a_django_project_is_also_measured_with_djangos_own_handler(tmp_path: Path) -> None:
    _, data = measured("django_shop", "--only", "django", tmp_path=tmp_path)

    assert {way["name"]: way["kind"] for way in data["ways"]} == {
        "bridge.contrib.django on uvicorn": "bridge",
        "Django's ASGI on uvicorn": "other",
    }
    assert all(way["rounds"] for way in data["ways"])


# -- setups that cannot be measured ----------------------------------------------------------------


def test_a_missing_page_is_reported_with_its_status() -> None:
    done = bench("flask_site:app", *SHORT, "--path", "/nowhere", "--only", "waitress")

    assert done.code == 1
    assert done.last_line == (
        "bridge: waitress: /nowhere returns 404; choose another page with --path"
    )


def test_an_app_that_fails_under_load_is_not_measured(tmp_path: Path) -> None:
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
def test_without_wrk_and_with_a_server_that_does_not_start_the_others_are_measured(
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
    assert "wrk is not installed. The built-in load generator is slower" in done.out
    assert "bridge on uvicorn: not measured: did not start: " in done.out
    assert "not on this server" in done.out
    assert "No setup with bridge was measured" in done.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing:app"], "bridge: cannot load 'nothing:app'"),
        (["flask_site:app", "--path", "shop"], "bridge: --path takes a path of the app"),
        (
            ["flask_site:app", "--only", "apache"],
            "bridge: --only apache: no setup has this in its name.",
        ),
    ],
)
def test_a_wrong_command_line_is_refused(args: list[str], message: str) -> None:
    done = bench(*args)

    assert done.code == 2
    assert done.last_line.startswith(message), done.err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"path": "/a b"}, "--path takes a path of the app, such as /shop"),
        ({"svg": Path("no/x.svg")}, "--svg no/x.svg: no such folder"),
        ({"json": Path("no/x")}, "--json no/x: no such folder"),
    ],
)
def test_options_are_checked_before_a_server_starts(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        BenchOptions(target="main:app", **wrong)


def test_a_server_that_exits_is_reported_with_its_last_line() -> None:
    setup = Setup("broken", "stay", ("-c", "raise SystemExit('no such port')"), "plain")

    with pytest.raises(NothingMeasured, match=r"^broken: did not start: no such port$"):
        measure([setup], BenchOptions(target="main:app"))


def test_the_last_line_of_a_server_is_shown_without_control_characters() -> None:
    setup = Setup("broken", "stay", ("-c", r"raise SystemExit('a\x1b]0;b\x07\x9b')"), "plain")

    with pytest.raises(NothingMeasured) as caught:
        measure([setup], BenchOptions(target="main:app"))

    assert str(caught.value) == r"broken: did not start: a\x1b]0;b\x07\x9b"


def test_the_generator_requests_paths_in_turn(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"ok")
    command = ("-m", "http.server", PORT, "--bind", HOST, "--protocol", "HTTP/1.1")

    with run_server("http.server", command, cwd=tmp_path) as server:
        result = run_mixed_load(server.url(""), ["/here", "/missing"], connections=2, seconds=0.2)

    assert set(result.p99_ms_by_path) == {"/here", "/missing"}
    assert result.requests > 2
    assert abs(result.failed - result.requests / 2) <= 2


# -- the report ------------------------------------------------------------------------------------


def given(name: str, kind: Kind, *rates: int, failed: int = 0) -> Measurement:
    rounds = [LoadResult(rate, 1.0, 1.0, 2.0, failed, 0.0) for rate in rates]
    return Measurement(name, kind, rounds)


def test_every_measurement_and_problem_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Measurement("a2wsgi", "other", problem="did not start: no such port")
    measurements = [given("bridge", "bridge", 100, 300), given("waitress", "stay", 400), broken]
    measurements[1].rounds *= 2

    report.show(measurements, ["Stay."], ["no wrk"], BenchOptions(target="main:app"))

    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["main:app,", "/,", "32", "connections"] in shown
    assert ["waitress", "400", "░" * 34] in shown
    assert ["bridge", "200", "█" * 17] in shown
    assert ["bridge", "100", "-", "300", "2"] in shown
    assert ["waitress", "400", "-", "400", "2", "0.50", "x"] in shown
    assert [" ".join(words) for words in shown[-3:]] == [
        "a2wsgi: not measured: did not start: no such port",
        "Stay.",
        "note: no wrk",
    ]


def test_the_report_shows_a_path_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Measurement("a2wsgi", "other", problem="[/b]\x1b[31m")
    options = BenchOptions(target="main:app", path="/[/b]")

    report.show([given("bridge", "bridge", 100), broken], [], [], options)

    shown = capsys.readouterr().out
    assert "main:app, /[/b], 32 connections" in shown
    assert r"a2wsgi: not measured: [/b]\x1b[31m" in shown


def test_the_json_has_every_round(tmp_path: Path) -> None:
    broken = Measurement("a2wsgi", "other", problem="did not start")
    file = tmp_path / "bench.json"

    report.write_json(
        file, [given("b", "bridge", 100, failed=1), broken], ["Stay."], BenchOptions(target="m:app")
    )

    data = json.loads(file.read_text("utf-8"))
    assert data.pop("python")
    unknown = {"cpu_us": None, "peak_mb": None}
    loaded = {"rate": 100.0, "p50_ms": 1.0, "p99_ms": 2.0, "failed": 1}
    assert data == {
        "target": "m:app",
        "path": "/",
        "connections": 32,
        "seconds": 3,
        "threads": 40,
        "ways": [
            {"name": "b", "kind": "bridge", "problem": None, **unknown, "rounds": [loaded]},
            {
                "name": "a2wsgi",
                "kind": "other",
                "problem": "did not start",
                **unknown,
                "rounds": [],
            },
        ],
        "verdict": ["Stay."],
    }


# -- the verdict -----------------------------------------------------------------------------------


def test_verdict_is_stay_if_the_app_is_faster_without_bridge() -> None:
    measurements = [
        given("bridge", "bridge", 100, 110, 90),
        given("granian", "stay", 200, 220, 180),
    ]

    assert verdict(measurements, "wsgi")[0] == (
        "Stay on WSGI: granian serves this page 2.00 times as fast as bridge. "
        "Move for WebSockets or async code, not for speed."
    )


def test_verdict_is_move_only_if_every_round_is_faster() -> None:
    ours, theirs = given("bridge", "bridge", 200, 220), given("gthread", "stay", 100, 110)
    once_slower = given("bridge", "bridge", 200, 109)

    assert verdict([ours, theirs], "wsgi")[0].startswith("Move if you need speed: ")
    assert verdict([once_slower, theirs], "wsgi")[0].startswith("Speed is no reason to move: ")


def test_a_difference_of_a_few_percent_does_not_count() -> None:
    measurements = [given("bridge", "bridge", 104, 104), given("gthread", "stay", 100, 100)]

    assert verdict(measurements, "wsgi")[0].startswith("Speed is no reason to move: ")


@pytest.mark.full
def test_verdict_for_an_asgi_app_names_the_use_of_bridge() -> None:
    measurements = [given("bridge", "bridge", 100), given("uvicorn", "stay", 200)]

    assert verdict(measurements, "asgi")[0].endswith("bridge is for hosts that only support WSGI.")


def test_failed_requests_are_reported() -> None:
    measurements = [given("bridge", "bridge", 100), given("a2wsgi", "other", 300, failed=7)]

    assert verdict(measurements, "wsgi") == [
        "a2wsgi is 3.00 times as fast as bridge.",
        "a2wsgi: 7 requests failed.",
    ]


def test_a_failing_setup_is_not_compared() -> None:
    """An error page is sent sooner than the page: that is no reason to move."""
    ours, theirs = given("bridge", "bridge", 9000, failed=8900), given("waitress", "stay", 100)
    ours.discard_if_failing()

    assert ours.problem == "8,900 of 9,000 requests failed"
    assert verdict([ours, theirs], "wsgi") == [
        "No setup with bridge was measured, so bridge cannot be compared."
    ]


def test_a_setup_with_few_failures_is_compared() -> None:
    ours = given("bridge", "bridge", 1000, failed=10)
    ours.discard_if_failing()

    assert (ours.problem, ours.failed) == ("", 10)


def test_output_of_wrk_is_parsed_in_every_unit() -> None:
    result = parse_wrk(
        "  Latency Distribution\n     50%  850.00us\n     75%    1.2ms\n     99%    1.50s\n"
        "  3000 requests in 1.50m, 2.00MB read\n  Socket errors: connect 1, read 2, write 3, "
        "timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec: 33.33\n"
    )

    assert (result.requests, result.seconds, result.bytes) == (3000, 90.0, 2 * 1024**2)
    assert (result.p50_ms, result.p99_ms, result.failed) == (0.85, 1500.0, 15)


def test_unexpected_output_of_wrk_is_shown() -> None:
    with pytest.raises(LoadFailed, match="unexpected output of wrk:\nsegmentation fault"):
        parse_wrk("segmentation fault")


def test_pictures_do_not_depend_on_colour_and_escape_names() -> None:
    picture = bars("A & B", "requests/s", [Bar("<ours>", 2, 1, 3, ours=True), Bar("b", 1, 1, 1)])

    assert 'class="ours"' in picture
    assert 'class="theirs"' in picture
    assert "&lt;ours&gt;" in picture
    assert "A &amp; B" in picture
    plot = lines("t", "x", "y", [Line("a", [(1, 2), (10, 20)]), Line("b", [(1, 1)])], log_x=True)
    assert plot.count("<circle") == 5  # each point, and one for each line's name

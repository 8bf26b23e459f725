"""``bridge plan-capacity`` as a command: its output, its errors, and a measured server.

`tests/unit/cli/test_capacity.py` tests the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.running import Finished, bridge, running
from tests.harness.ports import HOST
from tests.harness.servers import Server

LOAD = ("--requests-per-s", "2000", "--service-s", "0.08", "--waiting-share", "0.9")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("uvicorn", "flask_site:app") as started:
        yield started


def plan(*args: str) -> Finished:
    return bridge("plan-capacity", *args)


def as_json(done: Finished) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(done.out)
    return data


def test_a_plan_is_shown_with_its_calculations() -> None:
    done = plan(*LOAD)

    assert done.code == 0, done.err
    shown = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "hosts 7 6 for the load + 1 spare" in shown
    assert "CPU 66.7% 83.3/s x 8 ms" in shown
    assert "threads (--threads) 14 14 for requests" in shown
    assert "persistent 392 one for each of 392 threads (CONN_MAX_AGE)" in shown
    assert shown[-1].startswith("note: PostgreSQL accepts 97 connections by default")


def test_the_json_has_options_figures_problems_and_notes() -> None:
    done = plan(*LOAD, "--websockets", "9", "--format", "json")

    data = as_json(done)
    assert done.code == 0, done.err
    assert set(data) == {"options", "plan", "problems", "notes"}
    assert data["options"]["service"] == {"mean_s": 0.08, "waiting_share": 0.9, "variation": 1.0}
    assert (data["plan"]["hosts"], data["plan"]["threads"]) == (7, 14)
    assert data["problems"] == []


def test_hosts_that_are_too_small_give_exit_code_1() -> None:
    machines = ("--hosts", "1", "--spare-hosts", "0", "--workers", "2", "--threads", "8")
    load = ("--requests-per-s", "90", "--service-s", "0.1", "--waiting-share", "0.95")

    text, data = plan(*load, *machines), plan(*load, *machines, "--format", "json")

    assert (text.code, data.code) == (1, 1)
    assert "too small: 11.1% of the requests have to wait for a thread" in text.out
    assert len(as_json(data)["problems"]) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give --service-s and --waiting-share, or measure them with --measure URL --pid N"),
        (("--service-s", "1", "--waiting-share", "1", "--pid", "1"), "--pid belongs to --measure"),
        (
            ("--measure", "http://x/"),
            "--measure needs either --pid N, for a server on this machine",
        ),
        (
            ("--measure", "http://x/", "--pid", "1", "--waiting-share", "1"),
            "--measure needs either --pid N",
        ),
        (
            ("--measure", "http://x/", "--service-s", "1", "--pid", "1"),
            "--service-s and --measure exclude each other",
        ),
        (("--measure", "http://x/", "--pid", "4194305"), "--pid 4194305: no such process"),
        (("--measure", "x", "--waiting-share", "1"), "--measure takes a URL of the app"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(args: tuple[str, ...], message: str) -> None:
    done = plan("--requests-per-s", "10", *args)

    assert done.code == 2
    assert done.last_line.startswith(f"bridge: {message}"), done.err


def test_a_server_is_measured(server: Server) -> None:
    url = f"http://{HOST}:{server.port}/"
    done = plan(
        *("--requests-per-s", "1", "--measure", url, "--samples", "20"),
        *("--pid", str(server.pid), "--format", "json"),
    )

    assert done.code == 0, done.err
    service = as_json(done)["options"]["service"]
    assert service["mean_s"] > 0
    assert 0 <= service["waiting_share"] <= 1
    assert service["variation"] > 0


def test_an_error_page_is_not_measured(server: Server) -> None:
    url = f"http://{HOST}:{server.port}/missing"
    done = plan("--requests-per-s", "1", "--measure", url, "--waiting-share", "0.5")

    assert done.code == 1
    assert done.last_line == f"bridge: --measure {url}: the answer is 404"


def test_a_server_that_does_not_answer_is_reported() -> None:
    done = plan("--requests-per-s", "1", "--measure", f"http://{HOST}:1/", "--waiting-share", "1")

    assert done.code == 1
    assert done.last_line.startswith(f"bridge: --measure http://{HOST}:1/: ConnectionRefusedError")

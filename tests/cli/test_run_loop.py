"""`BRIDGE_LOOP` under `bridge run`: it names the loop of each server, or of the app behind it."""

from __future__ import annotations

import pytest

from tests.cli.running import TARGETS, bridge, facts, running


@pytest.mark.parametrize(
    ("server", "choice"),
    [
        ("uvicorn", "asyncio"),
        ("granian", "asyncio"),
        ("hypercorn", "uvloop"),
        ("gunicorn", "asyncio"),
        ("waitress", "asyncio"),
    ],
)
def test_an_app_runs_on_the_loop_that_the_variable_names(server: str, choice: str) -> None:
    with running(server, TARGETS["fastapi"], env={"BRIDGE_LOOP": choice}) as site:
        assert facts(site, "/loop") == {"loop": choice}


@pytest.mark.parametrize(
    ("server", "choice", "line"),
    [
        ("uvicorn", "curio", "BRIDGE_LOOP='curio': expected one of 'asyncio', 'uvloop'"),
        ("gunicorn", "curio", "BRIDGE_LOOP='curio': expected one of 'asyncio', 'uvloop'"),
        (
            "daphne",
            "uvloop",
            "BRIDGE_LOOP=uvloop: daphne runs on asyncio's loop only. Servers that",
        ),
    ],
)
def test_an_error_names_what_is_allowed(
    server: str, choice: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_LOOP", choice)
    done = bridge("run", TARGETS["fastapi"], "--server", server, "--port", "0")
    assert done.code == 2, done
    assert line in done.err
    assert "Traceback" not in done.err

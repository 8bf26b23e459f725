"""Which event loop bridge makes: `BRIDGE_LOOP`, `loop_factory`, and the default."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import pytest

import bridge
from tests.harness.loops import FACTORIES

LIMIT_S = 60
USUAL = "uvloop" if "uvloop" in FACTORIES else "asyncio"
needs_uvloop = pytest.mark.skipif(USUAL == "asyncio", reason="no uvloop for this Python")


def loops(choice: str | None, *arguments: str) -> dict[str, str]:
    """The loop that each part of bridge makes, or the error that it raises."""
    env = {**os.environ}
    env.pop("BRIDGE_LOOP", None)
    if choice is not None:
        env["BRIDGE_LOOP"] = choice
    program = [sys.executable, "-m", "tests.sync.loop_choice", *arguments]
    ran = subprocess.run(program, env=env, capture_output=True, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    found: dict[str, str] = json.loads(ran.stdout)
    assert len(found) == 7
    return found


@pytest.mark.parametrize("choice", [None, ""])
def test_by_default_loops_are_uvloops_where_it_is_installed(choice: str | None) -> None:
    found = loops(choice)
    assert found.pop("force_new_loop") == "asyncio"
    assert set(found.values()) == {USUAL}


@pytest.mark.parametrize("choice", ["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def test_the_variable_names_the_loop_of_all(choice: str) -> None:
    assert set(loops(choice).values()) == {choice}


def test_without_uvloop_they_are_asyncios() -> None:
    assert set(loops(None, "without-uvloop").values()) == {"asyncio"}


@pytest.mark.parametrize("choice", [None, pytest.param("uvloop", marks=needs_uvloop)])
def test_a_loop_factory_takes_precedence(choice: str | None) -> None:
    assert set(loops(choice, "factory").values()) == {"asyncio"}


@pytest.mark.parametrize(
    ("choice", "arguments", "error"),
    [
        ("curio", (), "BRIDGE_LOOP='curio': expected one of 'asyncio', 'uvloop'"),
        (
            "uvloop",
            ("without-uvloop",),
            "BRIDGE_LOOP='uvloop': expected 'asyncio', because uvloop is not installed",
        ),
    ],
)
def test_an_error_names_what_is_allowed(choice: str, arguments: tuple[str], error: str) -> None:
    assert set(loops(choice, *arguments).values()) == {error}


@pytest.mark.parametrize("make", [bridge.to_wsgi, bridge.universal])
def test_an_adapter_is_not_made_with_a_wrong_value(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    monkeypatch.setenv("BRIDGE_LOOP", "trio")
    with pytest.raises(bridge.ConfigError, match="BRIDGE_LOOP='trio'"):
        make(app)
    assert make(app, loop_factory=asyncio.new_event_loop)


async def returns() -> int:
    return 1


async def yields() -> Any:
    yield 1


@pytest.mark.parametrize(
    "call",
    [
        lambda factory: bridge.async_to_sync(returns, loop_factory=factory),
        lambda factory: bridge.iterate_in_loop(yields(), loop_factory=factory),
        lambda factory: bridge.enter_in_loop(aclosing(yields()), loop_factory=factory),
    ],
    ids=["async_to_sync", "iterate_in_loop", "enter_in_loop"],
)
def test_a_loop_factory_is_a_callable(call: Any) -> None:
    with pytest.raises(bridge.ConfigError, match=r"loop_factory='asyncio': expected None or a"):
        call("asyncio")


def test_helpers_and_adapters_with_one_factory_share_its_loop() -> None:
    async def this_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def factory() -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    first = bridge.async_to_sync(this_loop, loop_factory=factory)
    assert first() is first()
    assert bridge.async_to_sync(loop_factory=factory)(this_loop)() is first()
    assert bridge.async_to_sync(this_loop)() is not first()


async def test_the_calling_loop_takes_precedence_over_a_factory() -> None:
    async def this_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    call_back = bridge.async_to_sync(this_loop, loop_factory=asyncio.new_event_loop)
    assert await bridge.sync_to_async(call_back)() is asyncio.get_running_loop()


NESTED = """
import asyncio
import bridge
import nest_asyncio

async def inner():
    return 42

async def outer():
    nest_asyncio.apply()
    return asyncio.get_running_loop().run_until_complete(inner())

print(bridge.async_to_sync(outer)())
"""


def test_on_asyncios_loop_nest_asyncio_works() -> None:
    env = {**os.environ, "BRIDGE_LOOP": "asyncio"}
    program = [sys.executable, "-c", NESTED]
    ran = subprocess.run(
        program, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ran.stdout == "42\n", ran.stderr

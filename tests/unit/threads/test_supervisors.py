"""What restarts this process. `tests/servers/test_time_limits.py` has the real supervisors."""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType

import pytest

import bridge
from bridge._frameworks.supervisors import VARIABLE, supervisor


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No supervisor is declared, and none is found in what other tests have imported."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "gunicorn.arbiter", raising=False)


@pytest.mark.parametrize("value", ["", "0"])
def test_alone_there_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)

    assert supervisor() is None


def test_it_can_be_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")

    found = supervisor()

    assert found is not None
    assert (found.name, found.pid) == ("BRIDGE_SUPERVISED=1", os.getpid())
    assert found.number == signal.SIGTERM


def test_a_worker_of_gunicorn_has_its_arbiter_unless_that_is_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))

    found = supervisor()
    monkeypatch.setenv(VARIABLE, "0")

    assert found is not None
    assert (found.name, found.pid) == ("gunicorn", os.getpid())
    assert supervisor() is None


def test_another_value_is_an_error_where_an_adapter_may_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "yes")
    message = r"BRIDGE_SUPERVISED='yes': expected one of '0', '1'"

    with pytest.raises(bridge.ConfigError, match=message):
        bridge.WsgiToAsgi(lambda e, s: [], request_timeout_s=1)
    with pytest.raises(bridge.ConfigError, match=message):
        bridge.AsgiToWsgi(_asgi, request_timeout_s=1)
    bridge.WsgiToAsgi(lambda e, s: [])
    bridge.AsgiToWsgi(_asgi)


async def _asgi(scope: object, receive: object, send: object) -> None: ...

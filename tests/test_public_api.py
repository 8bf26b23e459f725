"""``import bridge``: the public names, and no side effects."""

from __future__ import annotations

import json
import subprocess
import sys
from inspect import Parameter, signature

import bridge

PUBLIC = [
    "AmbiguousApp",
    "AppLoadError",
    "AppProtocolError",
    "AsgiToWsgi",
    "BodyTimeout",
    "BridgeError",
    "ClientDisconnected",
    "ConfigError",
    "DeadlockError",
    "LifespanFailed",
    "Limit",
    "Mount",
    "PoolClosed",
    "PoolSaturated",
    "ProtocolError",
    "RequestIdFilter",
    "RequestRecord",
    "RequestTimeout",
    "Router",
    "ServerProtocolError",
    "ThreadSensitiveContext",
    "WorkerPool",
    "WsgiToAsgi",
    "__version__",
    "async_to_sync",
    "current_request",
    "enter_in_loop",
    "enter_in_threads",
    "interface_of",
    "iterate_in_loop",
    "iterate_in_threads",
    "observe",
    "sync_to_async",
    "to_asgi",
    "to_wsgi",
    "universal",
]

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

AFTER_IMPORT = """
import gc, json, sys, threading
before = set(sys.modules)
import bridge
import asyncio
loops = sum(isinstance(found, asyncio.AbstractEventLoop) for found in gc.get_objects())
print(json.dumps({
    "threads": [thread.name for thread in threading.enumerate()],
    "loops": loops,
    "packages": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
}))
"""


def test_public_names() -> None:
    assert sorted(bridge.__all__) == PUBLIC


def test_every_public_name_is_documented() -> None:
    undocumented = [
        name
        for name in bridge.__all__
        if name != "__version__" and not (getattr(bridge, name).__doc__ or "").strip()
    ]

    assert not undocumented


def test_the_import_starts_no_thread_and_loads_no_extra() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", AFTER_IMPORT],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(ran.stdout)

    third_party = set(found["packages"]) - set(sys.stdlib_module_names) - {"bridge", "asgiref"}
    assert third_party <= {"typing_extensions"}
    assert found["threads"] == ["MainThread"]
    assert found["loops"] == 0
    assert ran.stderr == ""


def test_options_are_passed_by_keyword() -> None:
    """So that an option can be added anywhere, and a call shows what each value is for."""
    positional = {
        name: [
            each.name for each in signature(value).parameters.values() if each.kind in POSITIONAL
        ]
        for name, value in vars(bridge).items()
        if name in bridge.__all__ and callable(value) and not _is_error(value)
    }

    assert positional.pop("Mount") == ["http", "websocket"]
    assert {name for name, found in positional.items() if len(found) > 1} == set()
    assert positional.pop("ThreadSensitiveContext") == []
    assert positional.pop("current_request") == []
    assert positional.pop("Limit") == []
    assert all(positional.values())


def test_every_error_is_a_bridge_error() -> None:
    errors = [value for value in vars(bridge).values() if _is_error(value)]

    assert len(errors) >= 10
    assert all(issubclass(error, bridge.BridgeError) for error in errors)


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)

"""A channel between a test and an app in a server's process: reports and gates.

An app calls :func:`report` to report an event to the test, and :func:`gate` to wait until the test
opens the gate. Events order the tests, not time, on every server, worker process and thread. A
report needs no worker thread of the adapter, unlike a second HTTP request.

The app sends one JSON line over TCP, from any thread of any process that has
``BRIDGE_TEST_CONTROL`` in its environment, and waits for one byte: the report is stored, or the
gate is open. The test's side runs one daemon thread for each connection.
:meth:`Control.close` ends them.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

VARIABLE = "BRIDGE_TEST_CONTROL"
EXPECT_TIMEOUT_S = 30.0
GATE_TIMEOUT_S = 60.0

Facts: TypeAlias = dict[str, Any]
Slot: TypeAlias = tuple[str, str]


class GateClosed(Exception):
    """The test ended without opening the gate, or did not open it within a minute."""


def report(key: str, name: str, **facts: object) -> None:
    """Report an event to the test; returns once it is stored. Called by the app, on any thread.

    :param key: the test's key, see the ``key`` fixture.
    :param facts: JSON values.
    """
    _send({"key": key, "name": name, "facts": facts})


def gate(key: str, name: str) -> None:
    """Wait until the test opens this gate. Called by the app, on any thread.

    :raises GateClosed: the test has ended.
    """
    _send({"key": key, "name": name, "gate": True})


def _send(message: Facts) -> None:
    host, _, port = os.environ[VARIABLE].partition(":")
    with socket.create_connection((host, int(port)), timeout=GATE_TIMEOUT_S + 10) as connection:
        connection.sendall(json.dumps(message).encode() + b"\n")
        if connection.recv(1) != b"+":
            raise GateClosed(f"gate {message['name']!r} of {message['key']!r} was not opened")


class Control:
    """The test's side of the channel."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reports: defaultdict[Slot, list[Facts]] = defaultdict(list)
        self._waiting: Counter[Slot] = Counter()
        self._permits: Counter[Slot] = Counter()
        self._open: set[Slot] = set()
        self._cancelled: set[str] = set()
        self._server = _Listener(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="test-control",
            daemon=True,  # does not keep an interrupted run alive
        )
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def reports(self, key: str, name: str) -> list[Facts]:
        """The reports of this name so far."""
        with self._changed:
            return list(self._reports[key, name])

    def expect(
        self, key: str, name: str, count: int = 1, timeout_s: float = EXPECT_TIMEOUT_S
    ) -> list[Facts]:
        """Wait for ``count`` reports of this name.

        :returns: all reports of this name.
        :raises AssertionError: fewer arrived within ``timeout_s``.
        """
        slot = (key, name)
        self._until(
            lambda: len(self._reports[slot]) >= count,
            lambda: f"{len(self._reports[slot])} of {count} reports {name!r} arrived",
            timeout_s,
        )
        return self.reports(key, name)

    def expect_waiting(
        self, key: str, name: str, count: int = 1, timeout_s: float = EXPECT_TIMEOUT_S
    ) -> None:
        """Wait until ``count`` apps wait at this gate at the same time."""
        slot = (key, name)
        self._until(
            lambda: self._waiting[slot] >= count,
            lambda: f"{self._waiting[slot]} of {count} wait at gate {name!r}",
            timeout_s,
        )

    def waiting(self, key: str, name: str) -> int:
        """The number of apps that wait at this gate now."""
        with self._changed:
            return self._waiting[key, name]

    def release(self, key: str, name: str, count: int = 1) -> None:
        """Let ``count`` apps pass this gate: those that wait, then those that arrive next."""
        with self._changed:
            self._permits[key, name] += count
            self._changed.notify_all()

    def open(self, key: str, name: str) -> None:
        """Let all apps pass this gate from now on."""
        with self._changed:
            self._open.add((key, name))
            self._changed.notify_all()

    def cancel(self, key: str = "") -> None:
        """Raise :class:`GateClosed` in apps at the gates of a finished test, now and later.

        :param key: a prefix of the keys; empty for all keys.
        """
        with self._changed:
            self._cancelled.add(key)
            self._changed.notify_all()

    def close(self) -> None:
        """Cancel all waiting apps and end the threads."""
        self.cancel()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _until(
        self, ready: Callable[[], bool], describe: Callable[[], str], timeout_s: float
    ) -> None:
        with self._changed:
            if not self._changed.wait_for(ready, timeout_s):
                raise AssertionError(f"{describe()} within {timeout_s} s")

    def handle(self, message: Facts) -> bool:
        """Handle one message of an app, on the thread of its connection.

        :returns: False if the gate was not opened.
        """
        slot = (message["key"], message["name"])
        with self._changed:
            if not message.get("gate"):
                self._reports[slot].append({**message["facts"], "at": time.monotonic()})
                self._changed.notify_all()
                return True
            return self._pass_gate(slot)

    def _pass_gate(self, slot: Slot) -> bool:
        self._waiting[slot] += 1
        self._changed.notify_all()
        self._changed.wait_for(
            lambda: self._may_pass(slot) or self._is_cancelled(slot), GATE_TIMEOUT_S
        )
        self._waiting[slot] -= 1
        if not self._may_pass(slot):
            return False
        if slot not in self._open:
            self._permits[slot] -= 1
        return True

    def _is_cancelled(self, slot: Slot) -> bool:
        return any(slot[0].startswith(key) for key in self._cancelled)

    def _may_pass(self, slot: Slot) -> bool:
        return slot in self._open or self._permits[slot] > 0


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, control: Control) -> None:
        self.control = control
        super().__init__(("127.0.0.1", 0), _Connection)


class _Connection(socketserver.StreamRequestHandler):
    server: _Listener

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        try:
            self.wfile.write(b"+" if self.server.control.handle(json.loads(line)) else b"-")
        except ConnectionError:
            pass  # the app was killed while it waited

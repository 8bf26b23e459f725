"""A line from an app in a server's process back to the test: reports one way, gates the other.

An app calls :func:`report` to tell the test that something happened, and :func:`gate` to wait until
the test lets it go on. So tests are ordered by events and never by time, whatever the server, its
worker processes and the thread the app runs on; and a report does not need one of the adapter's own
threads, as a second HTTP request would.

What enters: JSON lines over TCP, from any thread of any process that has ``BRIDGE_TEST_CONTROL`` in
its environment. What leaves: one byte for each, when the test has it, or opens the gate. The
test's side runs one daemon thread per waiting app, all of which end with :meth:`Control.close`.
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
    """The test ended, or took more than a minute, before it opened the gate."""


def report(key: str, name: str, **facts: object) -> None:
    """Tell the test something; returns once the test has it. From the app, any thread.

    :param key: which test, see the ``key`` fixture.
    :param facts: JSON values.
    """
    _ask({"key": key, "name": name, "facts": facts})


def gate(key: str, name: str) -> None:
    """Wait until the test opens this gate. From the app, any thread.

    :raises GateClosed: the test is gone.
    """
    _ask({"key": key, "name": name, "gate": True})


def _ask(message: Facts) -> None:
    host, _, port = os.environ[VARIABLE].partition(":")
    with socket.create_connection((host, int(port)), timeout=GATE_TIMEOUT_S + 10) as line:
        line.sendall(json.dumps(message).encode() + b"\n")
        if line.recv(1) != b"+":
            raise GateClosed(f"gate {message['name']!r} of {message['key']!r} was not opened")


class Control:
    """The test's end of the line."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reports: defaultdict[Slot, list[Facts]] = defaultdict(list)
        self._waiting: Counter[Slot] = Counter()
        self._permits: Counter[Slot] = Counter()
        self._open: set[Slot] = set()
        self._over: set[str] = set()
        self._server = _Listener(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="test-control",
            daemon=True,  # a run that is interrupted must end all the same
        )
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def reports(self, key: str, name: str) -> list[Facts]:
        """What has been reported under this name so far."""
        with self._changed:
            return list(self._reports[key, name])

    def expect(
        self, key: str, name: str, count: int = 1, timeout_s: float = EXPECT_TIMEOUT_S
    ) -> list[Facts]:
        """Wait until there are ``count`` reports of this name, and return them all.

        :raises AssertionError: they did not come in time.
        """
        slot = (key, name)
        self._until(
            lambda: len(self._reports[slot]) >= count,
            lambda: f"{len(self._reports[slot])} of {count} reports {name!r} came",
            timeout_s,
        )
        return self.reports(key, name)

    def expect_waiting(
        self, key: str, name: str, count: int = 1, timeout_s: float = EXPECT_TIMEOUT_S
    ) -> None:
        """Wait until ``count`` apps stand at this gate at the same time."""
        slot = (key, name)
        self._until(
            lambda: self._waiting[slot] >= count,
            lambda: f"{self._waiting[slot]} of {count} wait at gate {name!r}",
            timeout_s,
        )

    def waiting(self, key: str, name: str) -> int:
        """How many apps stand at this gate now."""
        with self._changed:
            return self._waiting[key, name]

    def release(self, key: str, name: str, count: int = 1) -> None:
        """Let ``count`` apps through this gate, those that wait or the next that come."""
        with self._changed:
            self._permits[key, name] += count
            self._changed.notify_all()

    def open(self, key: str, name: str) -> None:
        """Let everyone through this gate from now on."""
        with self._changed:
            self._open.add((key, name))
            self._changed.notify_all()

    def turn_away(self, key: str = "") -> None:
        """A test is over: whoever waits at a gate of its key, or comes to one, hears so.

        :param key: the beginning of the keys that are over; all of them if empty.
        """
        with self._changed:
            self._over.add(key)
            self._changed.notify_all()

    def close(self) -> None:
        """Turn away whoever waits, and end the threads."""
        self.turn_away()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _until(
        self, ready: Callable[[], bool], describe: Callable[[], str], timeout_s: float
    ) -> None:
        with self._changed:
            if not self._changed.wait_for(ready, timeout_s):
                raise AssertionError(f"{describe()} within {timeout_s} s")

    def take(self, message: Facts) -> bool:
        """One message from an app, on its own thread. False turns the app away."""
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
        self._changed.wait_for(lambda: self._may_pass(slot) or self._is_over(slot), GATE_TIMEOUT_S)
        self._waiting[slot] -= 1
        if not self._may_pass(slot):
            return False
        if slot not in self._open:
            self._permits[slot] -= 1
        return True

    def _is_over(self, slot: Slot) -> bool:
        return any(slot[0].startswith(key) for key in self._over)

    def _may_pass(self, slot: Slot) -> bool:
        return slot in self._open or self._permits[slot] > 0


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, control: Control) -> None:
        self.control = control
        super().__init__(("127.0.0.1", 0), _Line)


class _Line(socketserver.StreamRequestHandler):
    server: _Listener

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        try:
            self.wfile.write(b"+" if self.server.control.take(json.loads(line)) else b"-")
        except ConnectionError:
            pass  # the app was killed while it waited; nobody is left to tell

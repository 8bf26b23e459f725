"""Hosts for a test: network namespaces, joined by a switch in the first of them.

:func:`network` yields three :class:`Place` s: the edge, where clients, HAProxy and Redis run, and
two hosts. Namespaces need root and iproute2. Where they cannot be made, the places are addresses of
the loopback interface, and a host is cut off by stopping its processes.

Addresses are those of ``deploy/haproxy/haproxy.cfg``. They exist only inside the namespaces.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.harness.tools import find_program

__all__ = ["Place", "can_make_namespaces", "network"]

NAMES = ("edge", "one", "two")
ADDRESSES = {"edge": "10.0.0.1", "one": "10.0.0.11", "two": "10.0.0.12"}
LOOPBACK = {"edge": "127.0.0.1", "one": "127.0.0.11", "two": "127.0.0.12"}


@dataclass(frozen=True)
class Place:
    """Where processes run.

    :ivar namespace: its network namespace; None on the loopback interface.
    """

    name: str
    address: str
    namespace: str | None = None
    _pids: list[int] = field(default_factory=list, repr=False)

    def popen(self, command: list[str], **options: object) -> subprocess.Popen[str]:
        """Start a process there, as the leader of a process group."""
        if self.namespace is not None:
            command = ["ip", "netns", "exec", self.namespace, *command]
        process = subprocess.Popen(command, text=True, start_new_session=True, **options)  # type: ignore[call-overload]  # passed through
        self._pids.append(process.pid)
        return process  # type: ignore[no-any-return]  # because of the same

    def cut_off(self) -> None:
        """Let no packet in or out, without a word to anyone."""
        self._set_link("down")

    def reconnect(self) -> None:
        """Undo :meth:`cut_off`."""
        self._set_link("up")

    def _set_link(self, state: str) -> None:
        if self.namespace is not None:
            _ip("-n", self.namespace, "link", "set", "eth0", state)
            return
        number = "-STOP" if state == "down" else "-CONT"
        for pid in self._pids:
            subprocess.run(
                ["kill", number, "--", f"-{pid}"], check=False, stderr=subprocess.DEVNULL
            )


def can_make_namespaces() -> bool:
    """Whether this process may make network namespaces, with a switch and cables between them."""
    if shutil.which("ip") is None:
        if os.environ.get("CI"):
            find_program("ip", package="iproute2")
        return False
    try:
        with _namespaces():
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def network() -> Iterator[dict[str, Place]]:
    """The places, by name, until the end of the block."""
    if can_make_namespaces():
        with _namespaces() as places:
            yield places
    else:
        yield {name: Place(name, LOOPBACK[name]) for name in NAMES}


@contextmanager
def _namespaces() -> Iterator[dict[str, Place]]:
    places = {name: Place(name, ADDRESSES[name], _namespace(name)) for name in NAMES}
    with ExitStack() as stack:
        for place in places.values():
            _ip("netns", "add", str(place.namespace))
            stack.callback(_ip, "netns", "del", str(place.namespace))
            _ip("-n", str(place.namespace), "link", "set", "lo", "up")
        edge = str(places["edge"].namespace)
        _ip("-n", edge, "link", "add", "switch", "type", "bridge")
        _ip("-n", edge, "addr", "add", f"{ADDRESSES['edge']}/24", "dev", "switch")
        _ip("-n", edge, "link", "set", "switch", "up")
        for name in NAMES[1:]:
            host = str(places[name].namespace)
            peer = ("peer", "name", "eth0", "netns", host)
            _ip("-n", edge, "link", "add", name, "type", "veth", *peer)
            _ip("-n", edge, "link", "set", name, "master", "switch", "up")
            _ip("-n", host, "addr", "add", f"{ADDRESSES[name]}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
        yield places


def _namespace(name: str) -> str:
    return f"bridge-test-{os.getpid()}-{name}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def free_port(address: str) -> int:
    """A port that is free now, for places on the loopback interface."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port

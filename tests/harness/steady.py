"""Clients that send requests all the time, and count what becomes of each.

:func:`steady_clients` yields the counts, which grow until the end of the block. Each request has a
connection of its own, so that a server has no excuse for an unanswered one.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

__all__ = ["CLIENTS", "ask", "steady_clients", "wait_for_more"]

CLIENTS = 4
TIMEOUT_S = 30.0


def ask(family: socket.AddressFamily, address: Any, path: str = "/") -> bytes:
    """The whole response to one request, on a connection of its own."""
    with closing(socket.socket(family, socket.SOCK_STREAM)) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(address)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode())
        received = b""
        while data := client.recv(65536):
            received += data
        return received


@contextmanager
def steady_clients(address: tuple[str, int]) -> Iterator[Counter[str]]:
    """What became of each request, counted by status or error; complete after the block."""
    outcomes: Counter[str] = Counter()
    is_over = threading.Event()

    def send_requests() -> None:
        while not is_over.is_set():
            try:
                response = ask(socket.AF_INET, address)
                outcomes[response[9:12].decode() or "no response"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1

    threads = [threading.Thread(target=send_requests) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        is_over.set()
        for thread in threads:
            thread.join(TIMEOUT_S)


def wait_for_more(outcomes: Counter[str]) -> None:
    """Wait until each client has certainly got another response."""
    enough = outcomes.total() + 20 * CLIENTS
    never = threading.Event()
    for _ in range(int(TIMEOUT_S * 50)):
        if outcomes.total() >= enough:
            return
        never.wait(0.02)  # polling, with a deadline: the counts have no event to wait for
    raise AssertionError(f"no responses within {TIMEOUT_S} s: {outcomes}")

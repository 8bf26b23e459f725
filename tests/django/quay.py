"""A client for the Harbour Shop's quay, without a browser: its page, its WebSocket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.examples.pages import Page

PATH = "/quay/"
TIMEOUT_S = 30.0


@contextmanager
def visitor(url: str) -> Iterator[httpx.Client]:
    """A client with cookies, which follows redirects."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=TIMEOUT_S) as client:
        yield client


def chalk_up(url: str, author: str, text: str) -> httpx.Response:
    """Post the page's form."""
    with visitor(url) as client:
        page = Page(client.get(PATH).text)
        token = page.fields["csrfmiddlewaretoken"]
        fields = {"csrfmiddlewaretoken": token, "author": author, "text": text}
        return client.post(PATH, data=fields)


@contextmanager
def board(url: str) -> Iterator[ClientConnection]:
    """An open board, which has received the current state. Retries, as its script does."""
    with ExitStack() as stack:
        yield _connected(stack, url)


def _connected(stack: ExitStack, url: str) -> ClientConnection:
    address = url.replace("http", "ws") + PATH + "socket/"
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            connecting = connect(address, origin=Origin(url), open_timeout=TIMEOUT_S)
            socket = stack.enter_context(connecting)
            assert {"notices", "stock"} <= set(news(socket))
        except (InvalidStatus, ConnectionClosed):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # polls, with a deadline: the server reconnects when it likes
        else:
            return socket


def news(socket: ClientConnection) -> Any:
    """The next message."""
    return json.loads(socket.recv(timeout=TIMEOUT_S))

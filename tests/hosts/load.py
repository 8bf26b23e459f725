"""The clients: ``python -m tests.hosts.load http://10.0.0.1:80``.

They send requests all the time and hold WebSockets open, until standard input is closed. Each line
of standard input is a command, and each line of standard output the answer to one, in JSON:

``counts``
    What has become of the requests so far, by kind and :class:`Outcome`, and of the WebSockets.
``reopen``
    Opens all WebSockets anew, so that they are on both hosts again.
``notice TEXT``
    Sends a notice, and waits until each open WebSocket has received it.

Every request has an outcome: a client that waits longer than ``SILENT_S`` gives up.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

SILENT_S = 30.0
PAUSE_S = 0.01
RECONNECT_S = 0.1
NOTICE_S = 15.0
SOCKETS = 8
READERS, WRITERS, WAITERS = 6, 1, 4
NORMAL, GOING_AWAY = 1000, {1001, 1012}


class Outcome(StrEnum):
    """What a client saw of its request."""

    ANSWERED = "answered"
    REFUSED = "refused"  # 503: visibly not carried out
    CUT = "cut"  # 502, 504, or the connection was closed
    SILENT = "silent"  # nothing, for SILENT_S


class Clients:
    """All clients, on one event loop."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._outcomes: Counter[str] = Counter()
        self._sockets: dict[int, Counter[str]] = {}
        self._hosts: dict[int, str] = {}
        self._connections: dict[int, ClientConnection] = {}
        self._closed: Counter[str] = Counter()
        self._received = asyncio.Condition()

    async def run(self) -> None:
        """Until standard input ends."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in self._all()]
            await self._obey()
            for task in tasks:
                task.cancel()

    def _all(self) -> list[Any]:
        readers = [self._repeat("GET", "/", keeps=number % 2 == 0) for number in range(READERS)]
        waiters = [self._repeat("GET", "/slow", keeps=False) for _ in range(WAITERS)]
        writers = [self._repeat("POST", "/notices", keeps=False) for _ in range(WRITERS)]
        return [*readers, *waiters, *writers, *(self._socket(number) for number in range(SOCKETS))]

    # -- requests ----------------------------------------------------------------------------------

    async def _repeat(self, method: str, path: str, *, keeps: bool) -> None:
        connection: _Connection | None = None
        while True:
            if connection is None or not keeps:
                connection = _Connection(self._host, self._port, keeps=keeps)
            status, keeps_open = await self._request(connection, method, path)
            self._outcomes[f"{method} {path} {_outcome(status)}"] += 1
            if not keeps_open:
                connection.close()
                connection = None
            await asyncio.sleep(PAUSE_S)

    async def _request(self, connection: _Connection, method: str, path: str) -> tuple[Any, bool]:
        try:
            async with asyncio.timeout(SILENT_S):
                return await connection.request(method, path)
        except TimeoutError:
            return Outcome.SILENT, False
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return Outcome.CUT, False

    # -- WebSockets --------------------------------------------------------------------------------

    async def _socket(self, number: int) -> None:
        while True:
            try:
                # HAProxy's cookie is not sent: a client that comes back may get any host.
                url = f"ws://{self._host}:{self._port}/ws"
                async with connect(url, proxy=None, ping_interval=2, ping_timeout=8) as socket:
                    await self._listen(number, socket)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError, EOFError):
                pass
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self, number: int, socket: ClientConnection) -> None:
        host = json.loads(await socket.recv())["host"]
        self._hosts[number], self._sockets[number] = host, Counter()
        self._connections[number] = socket
        try:
            async for text in socket:
                async with self._received:
                    self._sockets[number][json.loads(text)["text"]] += 1
                    self._received.notify_all()
        finally:
            del self._hosts[number], self._sockets[number], self._connections[number]
            if socket.close_code != NORMAL:
                how = "moved" if socket.close_code in GOING_AWAY else "lost"
                self._closed[f"{host} {how}"] += 1
            async with self._received:
                self._received.notify_all()

    # -- commands ----------------------------------------------------------------------------------

    async def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, _, text = line.strip().partition(" ")
            commands: dict[str, Callable[..., Any]] = {
                "counts": self._counts,
                "reopen": self._reopen,
                "notice": self._notice,
            }
            print(json.dumps(await commands[name](*text.split())), flush=True)

    async def _counts(self) -> dict[str, Any]:
        return {
            "requests": dict(self._outcomes),
            "closed": dict(self._closed),
            "open": dict(Counter(self._hosts.values())),
        }

    async def _reopen(self) -> dict[str, Any]:
        old = list(self._connections.values())
        await asyncio.gather(*(each.close(NORMAL) for each in old))
        async with self._received:
            await self._received.wait_for(lambda: not {*old} & {*self._connections.values()})
        return {}

    async def _notice(self, text: str) -> dict[str, Any]:
        listeners = {number: self._sockets[number] for number in self._hosts}
        status, host = 0, ""
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            connection = _Connection(self._host, self._port, keeps=False)
            status, _ = await connection.request("POST", "/notices", text.encode())
            host = connection.host
            connection.close()

        def missing() -> list[int]:
            return [
                n for n, got in listeners.items() if self._sockets.get(n) is got and not got[text]
            ]

        if status == 200:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTICE_S), self._received:
                    await self._received.wait_for(lambda: not missing())
        reached = Counter(
            self._hosts[n] for n, got in listeners.items() if n in self._hosts and got[text]
        )
        return {"status": status, "from": host, "reached": dict(reached), "missing": len(missing())}


def _outcome(status: Any) -> Outcome:
    if isinstance(status, Outcome):
        return status
    if status == 200:
        return Outcome.ANSWERED
    return Outcome.REFUSED if status == 503 else Outcome.CUT


class _Connection:
    """One connection of HTTP/1.1, opened by its first request."""

    def __init__(self, host: str, port: int, *, keeps: bool) -> None:
        self._address, self._keeps = (host, port), keeps
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.host = ""

    async def request(self, method: str, path: str, body: bytes = b"-") -> tuple[int, bool]:
        """The status, once the whole response has come, and whether the connection remains."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        fields = [f"{method} {path} HTTP/1.1", "Host: site", f"Connection: {self._connection}"]
        if method == "POST":
            fields.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*fields, "", ""]).encode() + (body if method == "POST" else b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        content = await _content(reader, head)
        with suppress(ValueError, KeyError, TypeError):
            self.host = json.loads(content)["host"]
        return int(head.split()[1]), self._keeps and "connection: close" not in head

    @property
    def _connection(self) -> str:
        return "keep-alive" if self._keeps else "close"

    def close(self) -> None:
        """Close it; idempotent."""
        if self._streams is not None:
            self._streams[1].close()


async def _content(reader: asyncio.StreamReader, head: str) -> bytes:
    length = head.partition("\r\ncontent-length:")[2].partition("\r\n")[0]
    if length:
        return await reader.readexactly(int(length))
    if "\r\ntransfer-encoding: chunked" not in head:
        return await reader.read()
    content = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        content += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return content


if __name__ == "__main__":
    asyncio.run(Clients(sys.argv[1]).run())

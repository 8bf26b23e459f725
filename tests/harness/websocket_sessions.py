"""Random sessions of a WebSocket, and what the client sees of them.

:func:`session` makes a session from a seed: what the client sends, and the part of the app, which
is ``/scripted`` of ``tests.apps.asgi_websockets``. :func:`transcript` plays it to a server, and
returns what the client has seen. It is the same each time: the client waits for each answer before
it goes on. Runs on the test's thread.
"""

from __future__ import annotations

import json
import random
import socket
import string
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.harness.ports import HOST

TIMEOUT_S = 30.0
TEXTS = [*string.printable, "\xe9", "\u20ac", "\U0001f309", "\u0000"]
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
SIZES = [0, 1, 2, 124, 125, 126, 127, 1000, 65535, 65536, 70000]
PROTOCOLS = ["chat.v1", "chat.v2", "graphql-ws"]

Transcript: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What the client sends: a message in pieces, or a ping, and how many messages it awaits.

    :ivar pings: a ping with this payload goes before each piece.
    """

    pieces: Sequence[str | bytes] = ()
    pings: bytes | None = None
    awaits: int = 0


@dataclass(frozen=True)
class Session:
    """One session.

    :ivar ends: who ends it, or how. ``client``: with ``code`` and ``reason``; ``vanishes``: the
        client does, without a close frame; ``app``: as the last step orders; ``raises``: the app
        does, likewise.
    """

    part: dict[str, Any]
    offers: Sequence[str]
    compresses: bool
    steps: Sequence[Step]
    ends: str
    code: int | None = None
    reason: str = ""


# -- random sessions -------------------------------------------------------------------------------


def session(seed: int) -> Session:
    """The session of a seed."""
    chance = random.Random(seed)
    offers = chance.sample(PROTOCOLS, chance.randint(0, 3))
    part: dict[str, Any] = {
        "status": chance.choices([101, 403, 401, 503], [30, 1, 1, 1])[0],
        "header": f"session-{seed}",
        "chooses": chance.randrange(len(offers)) if offers and chance.random() < 0.7 else None,
        "echoes": chance.random() < 0.8,
    }
    steps = [_step(chance, echoes=part["echoes"]) for _ in range(chance.randint(0, 8))]
    ends = chance.choices(["client", "vanishes", "app", "raises"], [10, 3, 6, 1])[0]
    code = chance.choice([None, *CODES])
    reason = "" if code is None else _text(chance, chance.choice([0, 0, 3, 20]))
    if ends in ("app", "raises"):
        order = _close_order(chance) if ends == "app" else {"raises": 1}
        steps.append(Step(["!" + json.dumps(order)]))
    compresses = chance.random() < 0.3
    return Session(part, offers, compresses, steps, ends, code, reason)


def _close_order(chance: random.Random) -> dict[str, Any]:
    close: dict[str, Any] = {}
    if chance.random() < 0.8:
        close["code"] = chance.choice([code for code in CODES if code != 1010])
    if chance.random() < 0.6:
        close["reason"] = _text(chance, chance.choice([0, 3, 20]))
    return {"texts": [_text(chance, 5) for _ in range(chance.randint(0, 3))], "close": close}


def _step(chance: random.Random, *, echoes: bool) -> Step:
    kind = chance.choice(["text", "bytes", "text", "bytes", "ping", "order"])
    ping = chance.randbytes(chance.choice([0, 1, 125]))
    if kind == "ping":
        return Step(pings=ping)
    if kind == "order":
        texts = [_text(chance, chance.choice([0, 5, 200])) for _ in range(chance.randint(1, 5))]
        return Step(["!" + json.dumps({"texts": texts})], awaits=len(texts))
    size = chance.choice(SIZES)
    cuts = chance.choice([1, 1, 2, 5])
    pings = ping if chance.random() < 0.2 else None
    if kind == "bytes":
        return Step(_pieces(chance, chance.randbytes(size), cuts), pings, int(echoes))
    text = "." + _text(chance, size)  # no order
    return Step(_pieces(chance, text, cuts), pings, int(echoes))


def _text(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(TEXTS, k=length))


def _pieces(chance: random.Random, whole: Any, count: int) -> list[Any]:
    at = sorted(chance.randint(0, len(whole)) for _ in range(count - 1))
    return [whole[start:end] for start, end in zip([0, *at], [*at, len(whole)], strict=True)]


# -- the client ------------------------------------------------------------------------------------


def transcript(port: int, played: Session, key: str) -> Transcript:
    """Play the client's part."""
    query = f"key={key}&part={quote(json.dumps(played.part), safe='')}"
    with socket.create_connection((HOST, port), timeout=TIMEOUT_S) as connection:
        return _Client(connection, f"ws://{HOST}:{port}/scripted?{query}", played).play(played)


@dataclass
class _Client:
    connection: socket.socket
    url: str
    played: Session
    messages: list[str] = field(default_factory=list)
    pongs: list[str] = field(default_factory=list)
    response: Response | None = None
    _parts: list[bytes] = field(default_factory=list)
    _opcode: Opcode = Opcode.TEXT

    def __post_init__(self) -> None:
        extensions = [ClientPerMessageDeflateFactory()] if self.played.compresses else None
        offers: Any = list(self.played.offers) or None
        self.protocol = ClientProtocol(
            parse_uri(self.url), extensions=extensions, subprotocols=offers, max_size=None
        )

    def play(self, played: Session) -> Transcript:
        protocol = self.protocol
        protocol.send_request(protocol.connect())
        self._exchange_until(lambda: self.response is not None)
        if protocol.handshake_exc is not None:
            assert self.response is not None
            status, body = self.response.status_code, bytes(self.response.body or b"")
            return {"status": status, "body": None if status == 403 else body}  # the server's own
        awaited = pinged = 0
        for step in played.steps:
            if protocol.state is not State.OPEN:  # the server has closed early
                break
            pinged += self._send(step)
            awaited += step.awaits
            self._exchange_until(
                lambda: len(self.messages) >= awaited and len(self.pongs) >= pinged  # noqa: B023
            )
        if played.ends == "vanishes":
            return self._seen()
        if played.ends == "client" and protocol.state is State.OPEN:
            protocol.send_close(played.code, played.reason)
        self._exchange_until(lambda: False)
        return self._seen()

    def _seen(self) -> Transcript:
        assert self.response is not None
        closed = self.protocol.close_rcvd
        return {
            "status": self.response.status_code,
            "header": self.response.headers.get("x-own"),
            "subprotocol": self.protocol.subprotocol,
            "compressed": bool(self.protocol.extensions),
            "messages": self.messages,
            "pongs": self.pongs,
            "close": None if closed is None else (int(closed.code), closed.reason),
        }

    def _send(self, step: Step) -> int:
        """:returns: the number of pings."""
        last = len(step.pieces) - 1
        for number, piece in enumerate(step.pieces):
            if step.pings is not None:
                self.protocol.send_ping(step.pings)
            data = piece.encode() if isinstance(piece, str) else piece
            if number:
                self.protocol.send_continuation(data, fin=number == last)
            elif isinstance(piece, str):
                self.protocol.send_text(data, fin=number == last)
            else:
                self.protocol.send_binary(data, fin=number == last)
        if step.pings is None:
            return 0
        if not step.pieces:
            self.protocol.send_ping(step.pings)
        return max(len(step.pieces), 1)

    def _exchange_until(self, condition: Any) -> None:
        """Send what there is to send and receive, until the condition is met or at the end."""
        while True:
            for data in self.protocol.data_to_send():
                with suppress(ConnectionError):  # the server has closed: read what it has sent
                    self.connection.sendall(data)
            if condition():
                return
            data = self._received()
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            for event in self.protocol.events_received():
                self._handle(event)
            if not data:
                return

    def _received(self) -> bytes:
        try:
            return self.connection.recv(65536)
        except ConnectionError:
            return b""

    def _handle(self, event: Any) -> None:
        if isinstance(event, Response):
            self.response = event
        elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.pongs.append(bytes(event.data).hex())
        elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                self._opcode = event.opcode
            self._parts.append(bytes(event.data))
            if event.fin:
                whole, self._parts = b"".join(self._parts), []
                is_text = self._opcode is Opcode.TEXT
                self.messages.append(whole.decode() if is_text else "0x" + whole.hex())

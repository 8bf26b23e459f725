"""P23: a file is sent through ``wsgi.file_wrapper`` without a hand-over for each chunk.

Seen at whitenoise #359: static files under ASGI are collected in memory. A server with
``http.response.pathsend`` or ``http.response.zerocopysend`` sends the file itself; otherwise many
blocks are sent in one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge.types import Environ, Message, StartResponse
from tests.apps.wsgi_files import FILE_SIZE, file_content
from tests.conftest import LiveServer
from tests.harness.asgi import body_message, http_scope

EXTENSIONS = {"pathsend": "http.response.pathsend", "zerocopysend": "http.response.zerocopysend"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(file_content())
    return path


@pytest.fixture
def app(path: Path) -> Iterator[bridge.WsgiToAsgi]:
    def send_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"), 8192)
        return wrapped

    with bridge.WorkerPool(1) as pool:
        yield bridge.WsgiToAsgi(send_file, executor=pool)


def messages_of(app: bridge.WsgiToAsgi, extensions: dict[str, Any]) -> list[Message]:
    sent: list[Message] = []

    async def run() -> None:
        inbox = [body_message()]

        async def receive() -> Message:
            if inbox:
                return inbox.pop()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            if "file" in message:  # like a server: read from the descriptor before send() returns
                message = {**message, "content": read_at(message)}
            sent.append(message)

        await app(http_scope(extensions=extensions), receive, send)

    asyncio.run(run())
    return sent


def read_at(message: Message) -> bytes:
    with open(message["file"], "rb", closefd=False) as opened:
        opened.seek(message["offset"])
        return opened.read(message["count"])


def test_pathsend_sends_the_path(app: bridge.WsgiToAsgi, path: Path) -> None:
    start, body = messages_of(app, {EXTENSIONS["pathsend"]: {}})

    assert start["type"] == "http.response.start"
    assert body == {"type": EXTENSIONS["pathsend"], "path": str(path)}


def test_zerocopysend_sends_the_descriptor(app: bridge.WsgiToAsgi) -> None:
    _, body = messages_of(app, {EXTENSIONS["zerocopysend"]: {}})

    assert body["type"] == EXTENSIONS["zerocopysend"]
    assert body["content"] == file_content()
    assert not body.get("more_body", False)


def test_without_an_extension_blocks_are_sent_together(app: bridge.WsgiToAsgi) -> None:
    sent = messages_of(app, {})

    assert b"".join(message.get("body", b"") for message in sent) == file_content()
    assert len(sent) < FILE_SIZE // 8192, "each block was sent in its own message"


@pytest.mark.parametrize("kind", ["memory", "disk", "named"])
def test_a_file_arrives_whole_from_every_server(live_server: LiveServer, kind: str) -> None:
    assert live_server.client.fetch("GET", f"/file?kind={kind}").body == file_content()

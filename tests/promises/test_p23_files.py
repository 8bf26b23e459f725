"""P23: a file is sent through ``wsgi.file_wrapper`` without a hand-over for each chunk.

Seen at whitenoise #359: static files under ASGI are collected in memory. A server with
``http.response.pathsend`` or ``http.response.zerocopysend`` sends the file itself; otherwise many
blocks are sent in one message. A range is read from where it begins, and a file that the app
deletes is sent all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

import bridge
from bridge.types import Environ, Message, StartResponse, WsgiApp
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


def messages_of(
    app: bridge.WsgiToAsgi,
    extensions: dict[str, Any],
    on_send: Callable[[Message], object] = lambda message: None,
    **scope: Any,
) -> list[Message]:
    sent: list[Message] = []

    async def run() -> None:
        inbox = [body_message()]

        async def receive() -> Message:
            if inbox:
                return inbox.pop()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            on_send(message)
            if "file" in message:  # like a server: read from the descriptor before send() returns
                message = {**message, "content": read_at(message)}
            sent.append(message)

        await app(http_scope(extensions=extensions, **scope), receive, send)

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


def flask_app(path: Path) -> flask.Flask:
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: flask.send_file(path))
    return app


@pytest.mark.parametrize("extensions", [["zerocopysend"], ["zerocopysend", "pathsend"]])
@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        (b"bytes=1000-1999", slice(1000, 2000)),
        (b"bytes=0-999", slice(0, 1000)),
        (b"bytes=-17", slice(-17, None)),
    ],
)
def test_zerocopysend_sends_a_range_of_flask(
    path: Path, extensions: list[str], wanted: bytes, part: slice
) -> None:
    with bridge.WorkerPool(1) as pool:
        start, body = messages_of(
            bridge.WsgiToAsgi(flask_app(path), executor=pool),
            {EXTENSIONS[name]: {} for name in extensions},
            headers=[(b"host", b"testserver"), (b"range", wanted)],
        )

    assert start["status"] == 206
    assert body["type"] == EXTENSIONS["zerocopysend"]
    assert body["content"] == file_content()[part]


def test_a_range_of_flask_is_read_in_large_blocks(path: Path) -> None:
    with bridge.WorkerPool(1) as pool:
        sent = messages_of(
            bridge.WsgiToAsgi(flask_app(path), executor=pool),
            {EXTENSIONS["pathsend"]: {}},
            headers=[(b"host", b"testserver"), (b"range", b"bytes=1-2000000")],
        )

    assert b"".join(message.get("body", b"") for message in sent) == file_content()[1:2000001]
    assert len(sent) < 20


def app_that_closes(path: Path, close: Callable[[], object]) -> WsgiApp:
    """Sends a file, and replaces the ``close`` of the file as Django does."""

    def send_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        file: Any = path.open("rb")
        file_close = file.close

        def close_both() -> None:
            file_close()
            close()

        file.close = close_both
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    return send_file


@pytest.mark.parametrize("offered", [["pathsend"], ["pathsend", "zerocopysend"], []])
def test_a_file_that_close_deletes_is_not_lost(path: Path, offered: list[str]) -> None:
    with bridge.WorkerPool(1) as pool:
        sent = messages_of(
            bridge.WsgiToAsgi(app_that_closes(path, path.unlink), executor=pool),
            {EXTENSIONS[name]: {} for name in offered},
        )

    body = b"".join(message.get("content", message.get("body", b"")) for message in sent)
    assert body == file_content()
    assert "path" not in sent[-1]
    assert not path.exists()


@pytest.mark.parametrize("extension", ["pathsend", "zerocopysend"])
def test_close_runs_before_a_path_is_sent_and_after_a_descriptor(
    path: Path, extension: str
) -> None:
    events: list[str] = []
    with bridge.WorkerPool(1) as pool:
        messages_of(
            bridge.WsgiToAsgi(app_that_closes(path, lambda: events.append("close")), executor=pool),
            {EXTENSIONS[extension]: {}},
            lambda message: events.append(message["type"]),
        )

    body = EXTENSIONS[extension]
    assert events.count("close") == 1
    assert (events.index("close") < events.index(body)) is (extension == "pathsend")


@pytest.mark.parametrize("extension", ["pathsend", "zerocopysend"])
def test_an_error_of_close_is_logged_and_loses_no_file(
    path: Path, extension: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LookupError("of close()")

    with bridge.WorkerPool(1) as pool:
        _, body = messages_of(
            bridge.WsgiToAsgi(app_that_closes(path, fail), executor=pool),
            {EXTENSIONS[extension]: {}},
        )

    assert body["type"] == EXTENSIONS[extension]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert isinstance(record.exc_info and record.exc_info[1], LookupError)


def test_without_an_extension_blocks_are_sent_together(app: bridge.WsgiToAsgi) -> None:
    sent = messages_of(app, {})

    assert b"".join(message.get("body", b"") for message in sent) == file_content()
    assert len(sent) < FILE_SIZE // 8192, "each block was sent in its own message"


@pytest.mark.parametrize("kind", ["memory", "disk", "named"])
def test_a_file_arrives_whole_from_every_server(live_server: LiveServer, kind: str) -> None:
    assert live_server.client.fetch("GET", f"/file?kind={kind}").body == file_content()

"""Responses for slow clients: the app ends, and its thread is free, before they have everything."""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bridge.types import Environ, StartResponse
from bridge.wsgi_to_asgi.adapter import WsgiToAsgi
from tests.apps.wsgi_routes import PLAIN
from tests.conformance.conftest import ToAsgi
from tests.harness.asgi import Exchange, call_async, http_scope

WAIT_S = 20.0
BODY = random.Random(1).randbytes(1_000_000)


class Download:
    """An app that sends a body in chunks of different sizes.

    :ivar ended: set when the app has been closed.
    """

    def __init__(self, body: bytes, headers: list[tuple[str, str]] = PLAIN) -> None:
        self.ended = threading.Event()
        self.made = 0
        self._body = body
        self._headers = headers

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/first":
            start_response("200 OK", PLAIN)
            return iter([b"a", b"b"])
        start_response("200 OK", self._headers)
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        sizes = random.Random(2)
        try:
            while self.made < len(self._body):
                size = sizes.choice([1, 10, 1000, 70_000])
                chunk = self._body[self.made : self.made + size]
                self.made += len(chunk)
                yield chunk
        finally:
            self.ended.set()


async def learned(adapter: WsgiToAsgi) -> WsgiToAsgi:
    """The first response that streams goes in step with ``send``."""
    await call_async(adapter, http_scope(path="/first"))
    return adapter


async def wait_for(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, WAIT_S)


def test_the_thread_is_free_while_the_client_has_nothing(to_asgi: ToAsgi) -> None:
    """One thread ends four downloads, whose clients read nothing before all have ended."""
    apps: list[Download] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        apps.append(Download(BODY))
        return apps[-1](environ, start_response)

    async def run() -> None:
        adapter = await learned(to_asgi(app, threads=1))
        exchanges = [Exchange(adapter, http_scope()) for _ in range(4)]
        for exchange in exchanges:
            await exchange.__aenter__()
            exchange.pause_reading()
            exchange.feed()
        while len(apps) < 5:
            await asyncio.sleep(0.01)
        for each in apps[1:]:
            await wait_for(each.ended)
        for exchange in exchanges:
            exchange.resume_reading()
            assert (await exchange.response()).body == BODY
            await exchange.__aexit__(None, None, None)
        assert adapter._spools is not None
        assert adapter._spools.on_disk == 0

    asyncio.run(run())


@pytest.mark.parametrize("spool_bytes", [200_000, 1_073_741_824])
@pytest.mark.parametrize("window", [1000, 131_072])
def test_a_client_that_stops_again_and_again_gets_every_byte(
    to_asgi: ToAsgi, window: int, spool_bytes: int
) -> None:
    """Whether all of it fits into the spool, or the thread has to wait in between."""
    app = Download(BODY)

    async def run() -> None:
        adapter = await learned(to_asgi(app, response_window=window, spool_bytes=spool_bytes))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.feed()
            for received in range(0, len(BODY), len(BODY) // 5):
                await exchange.wait_for_body(received)
                exchange.pause_reading()
                await asyncio.sleep(0.03)
                exchange.resume_reading()
            assert (await exchange.response()).body == BODY
        assert adapter._spools is not None
        assert adapter._spools.on_disk == 0

    asyncio.run(run())


def test_what_is_in_the_spool_is_sent_while_the_app_waits(to_asgi: ToAsgi) -> None:
    """And what the app makes later comes after it."""
    goes_on, spooled = threading.Event(), threading.Event()
    part = BODY[:500_000]

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/first":
            yield from (b"a", b"b")
            return
        for offset in range(0, len(part), 10_000):
            yield part[offset : offset + 10_000]
        spooled.set()
        assert goes_on.wait(WAIT_S)
        yield from (b"later ", b"and last")

    async def run() -> None:
        adapter = await learned(to_asgi(app))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            await wait_for(spooled)
            exchange.resume_reading()
            await exchange.wait_for_body(len(part))
            goes_on.set()
            assert (await exchange.response()).body == part + b"later and last"

    asyncio.run(run())


def test_a_disconnect_ends_the_app_and_removes_the_file(to_asgi: ToAsgi) -> None:
    app = Download(BODY * 100)

    async def run() -> None:
        adapter = await learned(to_asgi(app, spool_bytes=1_000_000))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            spools = adapter._spools
            assert spools is not None
            while not spools.on_disk:
                await asyncio.sleep(0.01)
            exchange.disconnect()
            await wait_for(app.ended)
            await exchange.wait()
            while spools.on_disk:
                await asyncio.sleep(0.01)
        assert app.made < len(BODY) * 100

    asyncio.run(run())


def test_an_event_stream_waits_for_its_client(to_asgi: ToAsgi) -> None:
    app = Download(BODY, [("Content-Type", "text/event-stream")])

    async def run() -> None:
        adapter = await learned(to_asgi(app, response_window=1000))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            before = -1
            while app.made != before:
                before = app.made
                await asyncio.sleep(0.05)
            assert app.made < 200_000
            exchange.resume_reading()
            assert (await exchange.response()).body == BODY

    asyncio.run(run())


def test_without_room_on_disk_the_thread_waits(
    to_asgi: ToAsgi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    app = Download(BODY)

    async def run() -> None:
        adapter = await learned(to_asgi(app, response_window=1000))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            while "no temporary file" not in caplog.text:
                await asyncio.sleep(0.01)
            assert not app.ended.is_set()
            exchange.resume_reading()
            assert (await exchange.response()).body == BODY

    asyncio.run(run())


def test_an_app_that_fails_is_cut_after_what_it_has_sent(to_asgi: ToAsgi) -> None:
    part = BODY[:400_000]

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/first":
            yield from (b"a", b"b")
            return
        for offset in range(0, len(part), 10_000):
            yield part[offset : offset + 10_000]
        raise ValueError("in the middle")

    async def run() -> None:
        adapter = await learned(to_asgi(app))
        async with Exchange(adapter, http_scope()) as exchange:
            exchange.pause_reading()
            exchange.feed()
            await asyncio.sleep(0.1)
            exchange.resume_reading()
            with pytest.raises(ValueError, match="in the middle"):
                await exchange.wait()
            assert exchange.partial_response().body == part
            assert exchange.sent[-1].get("more_body", False)

    asyncio.run(run())

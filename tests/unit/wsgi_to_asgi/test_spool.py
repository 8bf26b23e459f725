"""Spools: what slow clients have not taken yet, in order, bounded and removed."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge._threads.loop_inbox import inbox_of
from bridge.wsgi_to_asgi.bodies import ResponseBody, SendHabits
from bridge.wsgi_to_asgi.spool import FREE_SHARE, MOST_OF_ONE, PIECE_BYTES, Spool, Spools

MB = 1 << 20
LIMIT = 40 * MB


def all_of(spool: Spool) -> bytes:
    return b"".join(iter(spool.read, b""))


@pytest.fixture
def spools() -> Spools:
    return Spools(LIMIT)


@pytest.fixture
def spool(spools: Spools) -> Iterator[Spool]:
    with closing(Spool(spools)) as spool:
        yield spool


@pytest.mark.parametrize("seed", range(20))
def test_pieces_have_the_bytes_of_the_chunks_in_order(
    spools: Spools, spool: Spool, seed: int
) -> None:
    chance = random.Random(seed)
    written, read = bytearray(), bytearray()
    for _ in range(200):
        if chance.random() < 0.6:
            chunk = chance.randbytes(chance.choice([1, 100, 5000, PIECE_BYTES, 2 * PIECE_BYTES]))
            if spool.append(chunk):
                written += chunk
            elif chance.random() < 0.5:
                spool.append_anyway(chunk)
                written += chunk
        else:
            read += spool.read()
    read += all_of(spool)
    spool.close()

    assert read == written
    assert spools.on_disk == 0


def test_a_small_part_needs_no_file(spools: Spools, spool: Spool) -> None:
    assert spool.append(b"x" * PIECE_BYTES)
    assert spools.on_disk == 0
    assert spool.append(b"y")
    assert spools.on_disk == PIECE_BYTES


def test_one_response_is_bounded(spools: Spools, spool: Spool) -> None:
    chunk = b"x" * PIECE_BYTES
    chunks = 0
    while spool.append(chunk):
        chunks += 1

    assert spools.on_disk == MOST_OF_ONE
    assert chunks == MOST_OF_ONE // PIECE_BYTES + 1  # and one in memory


def test_all_responses_together_are_bounded(spools: Spools) -> None:
    open_spools = [spools.open([]) for _ in range(4)]
    assert None not in open_spools
    chunk = b"x" * PIECE_BYTES
    for spool in open_spools:
        while spool is not None and spool.append(chunk):
            pass
    assert spools.on_disk == LIMIT
    assert spools.open([]) is None

    for spool in open_spools:
        assert spool is not None
        spool.close()
        spool.close()
    assert spools.on_disk == 0


def test_a_small_disk_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in memory."""
    free = 4 * PIECE_BYTES * FREE_SHARE
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    spools = Spools(LIMIT)
    spool = spools.open([])
    assert spool is not None
    chunk = b"x" * PIECE_BYTES
    while spool.append(chunk):
        pass
    assert spools.on_disk == 4 * PIECE_BYTES
    spool.close()


def test_a_drained_file_begins_again(spools: Spools, spool: Spool) -> None:
    chunk = b"x" * (MB // 2)
    for _ in range(10):
        assert spool.append(chunk)
        assert spools.on_disk == len(chunk)
        assert all_of(spool) == chunk
        assert spool.is_drained()
        assert spools.on_disk == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"content-type", b"text/event-stream"),
        (b"content-type", b"Text/Event-Stream; charset=utf-8"),
        (b"content-type", b"multipart/x-mixed-replace; boundary=b"),
        (b"x-accel-buffering", b"no"),
    ],
)
def test_live_responses_have_none(spools: Spools, name: bytes, value: bytes) -> None:
    assert spools.open([(b"server", b"x"), (name, value)]) is None


@pytest.mark.parametrize("value", [b"text/csv", b"application/json"])
def test_other_responses_have_one(spools: Spools, value: bytes) -> None:
    assert spools.open([(b"content-type", value)]) is not None


def test_a_closed_spool_takes_nothing_more(spools: Spools, spool: Spool) -> None:
    """The loop closes it when the client leaves, while the thread still writes."""
    spool.close()
    assert not spool.append(b"x" * (2 * PIECE_BYTES))
    assert spool.read() == b""
    assert spools.on_disk == 0


def test_a_folder_that_cannot_be_written_is_logged_and_the_spool_takes_no_more(
    spools: Spools,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert spool.append(b"x" * PIECE_BYTES)
    assert not spool.append(b"y")
    assert not spool.append(b"y")

    assert "no temporary file" in caplog.text
    assert spools.on_disk == 0
    assert spool.read() == b"x" * PIECE_BYTES


async def test_what_nobody_will_take_is_not_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool is full when the client disconnects: as much would be in memory otherwise."""

    def refuse(spool: Spool) -> bytes:
        raise AssertionError("the file is read back")

    monkeypatch.setattr(Spool, "_read_file", refuse)
    spools = Spools(PIECE_BYTES)
    inbox = inbox_of(asyncio.get_running_loop())
    body = ResponseBody(inbox, 1, SendHabits(in_step=False), spools)
    body.habits.learn(sets_variables=False)
    chunk = b"x" * PIECE_BYTES

    def write() -> int:
        chunks = 0
        while body.write(chunk):
            chunks += 1
        return chunks

    writing = asyncio.create_task(asyncio.to_thread(write))
    async with asyncio.timeout(30):
        while not (spools.on_disk and body.is_full):
            await asyncio.sleep(0.001)  # polling: the thread has no event for it
        body.disconnect()
        assert await writing == 3  # one in the window, one in the file, one in memory
    assert spools.on_disk == 0

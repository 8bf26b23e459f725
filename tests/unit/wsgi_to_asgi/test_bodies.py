"""The request and response pipes: order, windows, and everything that ends a wait."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import threading
from collections.abc import Callable
from typing import TypeVar, cast

import pytest

from bridge._threads.loop_inbox import inbox_of
from bridge.errors import BodyTimeout, ClientDisconnected
from bridge.wsgi_to_asgi import bodies
from bridge.wsgi_to_asgi.bodies import BIG_BYTES, PIECE_BYTES, RequestBody, ResponseBody

T = TypeVar("T")
DEADLINE_S = 30


async def in_thread(call: Callable[[], T]) -> T:
    return await asyncio.wait_for(asyncio.to_thread(call), DEADLINE_S)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


async def run_ready_callbacks() -> None:
    """Run the loop until nothing is ready any more."""
    for _ in range(20):
        await asyncio.sleep(0)


def request_body(window: int = 10) -> RequestBody:
    return RequestBody(inbox_of(asyncio.get_running_loop()), window)


def response_body(window: int = 10) -> ResponseBody:
    return ResponseBody(inbox_of(asyncio.get_running_loop()), window)


# -- request body ------------------------------------------------------------


async def test_all_read_methods_read_the_same_stream() -> None:
    body = request_body(1000)
    for chunk in (b"one\ntw", b"", b"o\n", b"three"):
        body.feed(chunk)
    body.end()
    stream = io.BufferedReader(body)
    assert stream.read(2) == b"on"
    assert stream.readline() == b"e\n"
    assert stream.readlines() == [b"two\n", b"three"]
    assert stream.read() == b""


async def test_a_read_waits_for_data_and_returns_it() -> None:
    body = request_body()
    reading = asyncio.create_task(in_thread(lambda: io.BufferedReader(body).read1(100)))
    await until(lambda: body._sleeping)
    body.feed(b"abc")
    assert await reading == b"abc"


async def test_the_end_of_the_body_wakes_a_read() -> None:
    body = request_body()
    reading = asyncio.create_task(in_thread(io.BufferedReader(body).read))
    await until(lambda: body._sleeping)
    body.end()
    assert await reading == b""


async def test_a_truncated_body_can_be_read_before_reads_raise() -> None:
    body = request_body()
    body.feed(b"abc")
    body.fail("disconnected")
    stream = io.BufferedReader(body)
    assert stream.read(3) == b"abc"
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="disconnected"):
            stream.read()


async def test_a_disconnect_wakes_a_read_and_raises() -> None:
    body = request_body()
    reading = asyncio.create_task(in_thread(io.BufferedReader(body).read))
    await until(lambda: body._sleeping)
    body.fail("disconnected")
    with pytest.raises(ClientDisconnected, match="disconnected"):
        await reading


async def test_a_disconnect_after_the_end_changes_nothing() -> None:
    body = request_body()
    body.feed(b"abc")
    body.end()
    body.fail("the connection was closed after the request")
    assert io.BufferedReader(body).read() == b"abc"


async def test_a_full_window_has_room_once_half_of_it_is_read() -> None:
    body = request_body(window=8)
    body.feed(b"12345678")
    room = asyncio.create_task(body.wait_for_room())
    assert await in_thread(lambda: body.read(3)) == b"123"
    await asyncio.sleep(0)
    assert not room.done()
    assert await in_thread(lambda: body.read(1)) == b"4"
    await asyncio.wait_for(room, DEADLINE_S)


async def test_a_paused_body_has_room_once_the_app_reads() -> None:
    body = request_body()
    body.pause()
    room = asyncio.create_task(body.wait_for_room())
    await asyncio.sleep(0)
    assert not room.done()
    reading = asyncio.create_task(in_thread(lambda: body.read(3)))
    await asyncio.wait_for(room, DEADLINE_S)
    body.feed(b"abc")
    assert await reading == b"abc"


async def test_a_paused_body_has_room_once_the_response_starts() -> None:
    body = request_body()
    body.pause()
    room = asyncio.create_task(body.wait_for_room())
    await asyncio.sleep(0)
    body.response_started(response_body())
    await asyncio.wait_for(room, DEADLINE_S)


@pytest.fixture
def no_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks follow each other at once; the window is 20 bytes wider after 1 and after 3 of them."""
    monkeypatch.setattr(bodies, "UNREAD_TICK_S", 0.0)
    monkeypatch.setattr(bodies, "WIDEN_AFTER_S", (1, 3))
    monkeypatch.setattr(bodies, "DROP_AFTER_S", 9)
    monkeypatch.setattr(bodies, "SPARE_BYTES", 20)


@pytest.mark.usefixtures("no_ticks")
async def test_the_window_is_widened_only_as_long_as_the_app_sends() -> None:
    body, response = request_body(window=10), response_body()
    body.feed(b"x" * 10)
    room = asyncio.create_task(body.wait_for_room())
    await asyncio.sleep(0)
    body.response_started(response)
    await asyncio.wait_for(room, DEADLINE_S)
    body.feed(b"x" * 20)  # fills the wider window
    room = asyncio.create_task(body.wait_for_room())
    await run_ready_callbacks()
    assert not room.done(), "the app sends nothing: it computes, or waits for something else"
    response.write(b"tick")  # the server has not accepted it yet
    await asyncio.wait_for(room, DEADLINE_S)


async def fill_until_dropped(body: RequestBody) -> int:
    """Feed a body until the adapter drops what is fed. Returns how much was kept."""
    kept = body._ahead
    while body._error is None:
        await asyncio.wait_for(body.wait_for_room(), DEADLINE_S)
        body.feed(b"x" * 10)
        kept = max(kept, body._ahead)
    return kept


@pytest.mark.usefixtures("no_ticks")
async def test_a_body_that_is_never_read_is_dropped_in_the_end() -> None:
    """Memory is bounded, the disconnect is reached, and what was kept can be read."""
    body, response = request_body(window=10), response_body()
    response.write(b"tick")
    body.response_started(response)

    kept = await asyncio.wait_for(fill_until_dropped(body), DEADLINE_S)
    for _ in range(100):  # nothing pauses the receiver any more
        await asyncio.wait_for(body.wait_for_room(), DEADLINE_S)
        body.feed(b"y" * 10)
    body.end()

    assert kept == 50
    assert body._ahead == 50
    assert await in_thread(lambda: body.read(50)) == b"x" * 50
    with pytest.raises(BodyTimeout, match="for 9 s without reading the request body"):
        await in_thread(lambda: body.read(1))


@pytest.mark.usefixtures("no_ticks")
async def test_an_app_that_reads_slowly_loses_nothing() -> None:
    """Each read starts the count anew, however little it reads."""
    body, response = request_body(window=10), response_body()
    response.write(b"tick")
    body.response_started(response)
    body.feed(b"x" * 10)
    for _ in range(10):
        for _ in range(8):  # one tick more would drop the rest
            body._count_unread(response)
        assert await in_thread(lambda: body.read(1)) == b"x"

    assert body._error is None


async def test_the_window_is_not_widened_before_the_response_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "UNREAD_TICK_S", 0.0)
    body = request_body(window=10)
    body.feed(b"x" * 10)
    room = asyncio.create_task(body.wait_for_room())
    await run_ready_callbacks()
    assert not room.done()
    room.cancel()


async def test_a_long_body_arrives_byte_for_byte() -> None:
    source = random.Random(7)
    chunks = [source.randbytes(source.randrange(0, 3000)) for _ in range(400)]
    body = request_body(window=4096)

    def digest() -> str:
        sizes = random.Random(11)
        stream, seen = io.BufferedReader(body, 512), hashlib.sha256()
        while data := stream.read(sizes.randrange(1, 2000)):
            seen.update(data)
        return seen.hexdigest()

    reading = asyncio.create_task(in_thread(digest))
    for chunk in chunks:
        await asyncio.wait_for(body.wait_for_room(), DEADLINE_S)
        body.feed(chunk)
        assert body._ahead < 4096 + 3000
    body.end()
    assert await reading == hashlib.sha256(b"".join(chunks)).hexdigest()


async def test_a_read_that_waits_too_long_raises_and_reports_it() -> None:
    stalled: list[BodyTimeout | None] = []
    inbox = inbox_of(asyncio.get_running_loop())
    body = RequestBody(inbox, 10, 0.01, lambda: stalled.append(body.stalled))
    body.feed(b"part")
    stream = io.BufferedReader(body)

    with pytest.raises(BodyTimeout, match=r"for 0\.01 s") as raised:
        await in_thread(lambda: stream.read(5))

    assert stalled == [raised.value]
    body.end()
    with pytest.raises(BodyTimeout):
        await in_thread(lambda: stream.read(5))


async def test_data_that_arrives_as_a_read_gives_up_is_read() -> None:
    """The loop has released the lock by the time that the worker marks the body as stalled."""
    inbox = inbox_of(asyncio.get_running_loop())
    body = RequestBody(inbox, 10, 0.01)
    lock = body._sleep_lock

    class LateLock:
        def acquire(self, timeout: float = -1) -> bool:
            if timeout < 0:
                return lock.acquire()
            if body._sleeping:
                body.feed(b"late")
            return False

        def release(self) -> None:
            lock.release()

    body._sleep_lock = cast("threading.Lock", LateLock())

    assert await in_thread(lambda: body.read(10)) == b"late"
    assert body.stalled is None
    assert lock.locked()


# -- response body ------------------------------------------------------------


async def test_chunks_are_joined_to_pieces_of_a_limited_size() -> None:
    """Servers buffer a number of messages, of any size."""
    sent = [bytes([number]) * 1000 for number in range(90)]
    body = response_body(window=10**6)
    for chunk in sent:
        assert body.write(chunk)

    pieces = [body.take()]
    while body.waiting:
        pieces.append(body.take())

    assert [len(piece) for piece in pieces] == [65536, 90_000 - 65536]
    assert b"".join(pieces) == b"".join(sent)


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([BIG_BYTES, 1, 1], [BIG_BYTES, 2]),
        ([1, BIG_BYTES, 1], [BIG_BYTES + 2]),
        ([PIECE_BYTES, 1], [PIECE_BYTES, 1]),
        ([1, PIECE_BYTES - 1], [PIECE_BYTES]),
        ([1, PIECE_BYTES], [PIECE_BYTES, 1]),
    ],
)
async def test_a_big_chunk_at_the_front_is_taken_alone(sizes: list[int], pieces: list[int]) -> None:
    body = response_body(window=10**6)
    for size in sizes:
        assert body.write(b"x" * size)

    taken = [len(body.take())]
    while body.waiting:
        taken.append(len(body.take()))

    assert taken == pieces


async def test_waiting_chunks_are_taken_together_after_one_wakeup() -> None:
    body = response_body(100)
    inbox = inbox_of(asyncio.get_running_loop())

    for chunk in (
        b"a",
        b"b",
        b"c",
    ):  # on the loop's thread, so the loop cannot take them one by one
        assert body.write(chunk)
        body.notify()
    await asyncio.wait_for(body.changed(), DEADLINE_S)
    assert body.take() == b"abc"
    assert inbox.wakeups == 1


async def test_a_notification_before_the_loop_waits_is_not_lost() -> None:
    body = response_body()
    body.notify()
    await until(lambda: bool(body._pending_wake))
    await asyncio.wait_for(body.changed(), DEADLINE_S)


async def test_a_writer_is_at_most_the_window_ahead() -> None:
    body = response_body(window=10)
    written: list[int] = []

    def produce() -> None:
        for number in range(1, 101):
            assert body.write(b"xyz")
            written.append(3 * number)
            body.notify()

    producing = asyncio.create_task(in_thread(produce))
    accepted = 0
    while accepted < 300:
        await asyncio.wait_for(body.changed(), DEADLINE_S)
        body.poll()
        taken = body.take()
        assert body.written - body._accepted <= 10
        body.accept(len(taken))
        accepted += len(taken)
    await producing


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("size", [1, 5])
async def test_a_writer_sleeps_only_once_the_window_would_be_exceeded(
    each: bool, size: int
) -> None:
    body = response_body(window=10)
    chunks = [b"12345", b"67890", b"x" * size]

    def produce() -> None:
        if each:
            body.write_each(iter(chunks))
        else:
            assert all(body.write(chunk) for chunk in chunks)

    producing = asyncio.create_task(in_thread(produce))
    try:
        await until(lambda: body._sleeping or producing.done())
        assert list(body._chunks or ()) == chunks[:2]
        body.accept(size - 1)
        await until(lambda: body._sleeping)
        assert list(body._chunks or ()) == chunks[:2], "one byte more than the window"
        body.accept(1)
        await producing
    finally:
        body.disconnect()


async def test_a_chunk_larger_than_the_window_is_sent_alone() -> None:
    body = response_body(window=10)
    assert body.write(b"abc")
    writing = asyncio.create_task(in_thread(lambda: body.write(b"x" * 50)))
    await until(lambda: body._sleeping)
    assert body.take() == b"abc"
    body.accept(3)
    assert await writing
    assert body.take() == b"x" * 50


async def test_a_disconnect_wakes_a_writer() -> None:
    body = response_body(window=4)
    assert body.write(b"abcd")
    writing = asyncio.create_task(in_thread(lambda: body.write(b"e")))
    await until(lambda: body._sleeping)
    body.disconnect()
    assert await writing is False
    assert body.write(b"f") is False


async def test_wait_until_sent_waits_until_a_non_body_message_is_accepted() -> None:
    body = response_body()
    waiting = asyncio.create_task(in_thread(body.wait_until_sent))
    await asyncio.wait_for(body.changed(), DEADLINE_S)
    assert body.take() == b""
    await until(lambda: body._sleeping)
    assert not waiting.done()
    body.accept(1)
    await waiting


async def test_a_disconnect_ends_wait_until_sent() -> None:
    body = response_body()
    waiting = asyncio.create_task(in_thread(body.wait_until_sent))
    await until(lambda: body._sleeping)
    body.disconnect()
    await waiting


async def take_all(body: ResponseBody, has_ended: Callable[[], bool]) -> tuple[bytes, int]:
    """Take the body like the adapter.

    :returns: the bytes, and the number of non-empty pieces.
    """
    taken, pieces, ended = b"", 0, False
    while not ended:
        await asyncio.wait_for(body.changed(), DEADLINE_S)
        body.poll()
        ended = has_ended()
        piece = body.take()
        body.accept(len(piece))
        taken += piece
        pieces += bool(piece)
    return taken, pieces


async def write_and_take(window: int, chunks: int) -> tuple[bytes, int, int]:
    """Write ``chunks`` small chunks from a thread.

    :returns: the bytes taken, the number of pieces, and how often the loop was woken.
    """
    body = response_body(window)
    inbox = inbox_of(asyncio.get_running_loop())
    before = inbox.wakeups
    ended = []

    def produce() -> None:
        body.write_each(b"%04d" % number for number in range(chunks))
        ended.append(True)
        body.flush()

    producing = asyncio.create_task(in_thread(produce))
    taken, pieces = await take_all(body, lambda: bool(ended))
    await producing
    return taken, pieces, inbox.wakeups - before


async def test_the_loop_polls_while_chunks_follow_quickly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule 6. The end does not wait for the next poll, which never comes in this test."""
    monkeypatch.setattr("bridge.wsgi_to_asgi.bodies.BURST_S", 3600.0)
    taken, pieces, wakeups = await write_and_take(window=10**6, chunks=5000)
    assert taken == b"".join(b"%04d" % number for number in range(5000))
    assert pieces <= 4
    assert wakeups <= 4


async def test_a_full_window_does_not_wait_for_the_next_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.wsgi_to_asgi.bodies.BURST_S", 3600.0)
    taken, _, _ = await write_and_take(window=1000, chunks=5000)
    assert len(taken) == 20000


async def test_a_poll_finds_a_chunk_without_a_notification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.wsgi_to_asgi.bodies.BURST_S", 1.0)  # long enough for a busy machine
    body = response_body(100)
    for chunk in (b"a", b"b"):  # the second one follows quickly
        body.write(chunk)
        body.notify()
        await asyncio.wait_for(body.changed(), DEADLINE_S)
        body.poll()
        assert body.take() == chunk
    changed = body.changed()
    assert body.notified  # so the worker does not notify the loop
    body.write(b"c")
    await asyncio.wait_for(changed, DEADLINE_S)
    body.poll()
    assert body.take() == b"c"


async def test_the_loop_stops_polling_when_no_chunk_follows() -> None:
    body = response_body(100)
    for chunk in (b"a", b"b"):  # the second one follows quickly
        assert body.write(chunk)
        body.poll()
        assert body.take() == chunk
    body.changed().cancel()
    assert body.notified  # the loop will poll
    body.poll()
    body.changed().cancel()
    assert not body.notified  # nothing came: the worker must notify the loop again

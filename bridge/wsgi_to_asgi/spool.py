"""What slow clients have not taken yet of responses: in temporary files, so that no thread waits.

Input: the chunks of an app that is ahead of its client by ``response_window``. Output: pieces, as
the client takes them. The app runs on meanwhile, and its thread is free when it has finished.

Rule 1. One thread appends, and another one reads. The lock is held while the file is written or
        read, so the event loop never takes it: it lets a thread read.
Rule 2. The last bytes are in memory, up to ``PIECE_BYTES``; the file gets no less at once.
Rule 3. All spools of an adapter have at most ``spool_bytes`` on disk, and a quarter of what was
        free there; each of them has ``MOST_OF_ONE``, so that a response without end leaves room for
        others. One that finds no room, or a full disk, takes no more until its client has taken
        nearly all: the thread waits, as it would without a spool.
Rule 4. A live response has none: an event stream, and one with ``X-Accel-Buffering: no``.
Rule 5. A file is only appended to. It begins again when all of it has been read.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from contextlib import suppress
from typing import IO

from bridge._repeated_log import RepeatedLog
from bridge._threads.locks import RealMutex
from bridge.types import RawHeaders

__all__ = ["Spool", "Spools"]

logger = logging.getLogger("bridge.wsgi_to_asgi")
repeated = RepeatedLog(logger)

PIECE_BYTES = 65536
MOST_OF_ONE = 16 << 20
"""How many bytes of one response may be on disk."""
FREE_SHARE = 4
"""At most one part in so many of a disk is used."""


LIVE_TYPES = b"text/event-stream", b"multipart/x-mixed-replace"


def _is_live(name: bytes, value: bytes) -> bool:
    """Whether a header says that the app must see how far its client is."""
    if name == b"content-type":
        return value.lower().startswith(LIVE_TYPES)
    return name == b"x-accel-buffering" and value.strip().lower() == b"no"  # as nginx reads it


class Spools:
    """The spools of one adapter. From any thread.

    :param limit: how many bytes they may have on disk together; 0: there are none.
    :ivar on_disk: how many they have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._is_measured = False  # the disk
        self.on_disk = 0
        self._lock = RealMutex()

    def open(self, headers: RawHeaders) -> Spool | None:
        """A spool for one more response; None if it may have none, or there is no room for any."""
        if not self._is_measured:
            self._measure()
        if self.on_disk + PIECE_BYTES > self._limit or any(_is_live(*each) for each in headers):
            return None
        return Spool(self)

    def _measure(self) -> None:
        self._is_measured = True
        with suppress(OSError):  # the first spool logs why it cannot be written
            free = shutil.disk_usage(tempfile.gettempdir()).free
            self._limit = min(self._limit, free // FREE_SHARE)

    def reserve(self, size: int, reserved: int) -> bool:
        """Reserve ``size`` bytes for a spool that has ``reserved``. False: there is no room."""
        if reserved + size > MOST_OF_ONE:
            return False
        with self._lock:
            if self.on_disk + size > self._limit:
                return False
            self.on_disk += size
        return True

    def release(self, size: int) -> None:
        with self._lock:
            self.on_disk -= size


class Spool:
    """What waits of one response, from the first chunk for which there was no room."""

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._lock = RealMutex()
        self._file: IO[bytes] | None = None
        self._written = 0  # to the file, in bytes
        self._read = 0  # of that
        self._tail = bytearray()  # what follows it, in memory
        self._failed = False  # the file cannot be written
        self._closed = False

    # -- on the thread of the app ---------------------------------------------------------------

    def append(self, chunk: bytes) -> bool:
        """Add a chunk. False: there is no room for it."""
        with self._lock:
            if len(self._tail) + len(chunk) > PIECE_BYTES:
                if not self._write(self._tail):
                    return False
                self._tail = bytearray()
                if len(chunk) > PIECE_BYTES:
                    return self._write(chunk)
            self._tail += chunk
            return True

    def append_anyway(self, chunk: bytes) -> None:
        """Add a chunk once the client has taken nearly all: keep what is left in memory."""
        with self._lock:
            unread = bytearray()
            while self._read < self._written:
                unread += self._read_file()
            self._tail = unread + self._tail + chunk

    def is_drained(self) -> bool:
        """Whether all of it has been read."""
        with self._lock:
            return not self._tail and self._read == self._written

    def _write(self, data: bytes | bytearray) -> bool:
        """Write to the file. False: it has no room."""
        size = len(data)
        if self._failed or self._closed or not self._spools.reserve(size, self._written):
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # see close()
            self._file.seek(self._written)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._spools.release(size)
            self._failed = True
            repeated.warning(
                "no temporary file for a slow client, so a thread waits for it: %s", error
            )
            return False
        self._written += size
        return True

    # -- on another thread ----------------------------------------------------------------------

    def read(self) -> bytes:
        """The next piece; empty if there is none yet, or the spool is closed.

        :raises OSError: the file cannot be read.
        """
        with self._lock:
            if self._read < self._written:
                return self._read_file()
            piece, self._tail = bytes(self._tail), bytearray()
            return piece

    def _read_file(self) -> bytes:
        assert self._file is not None
        self._file.seek(self._read)
        piece = self._file.read(min(PIECE_BYTES, self._written - self._read))
        if not piece:
            raise OSError("the file of a spooled response is shorter than what was written to it")
        self._read += len(piece)
        if self._read == self._written:
            self._empty_file()
            self._file.truncate(0)
        return piece

    def _empty_file(self) -> None:
        self._spools.release(self._written)
        self._written = self._read = 0

    def close(self) -> None:
        """Remove the file. What was not read is lost. May be called again."""
        with self._lock:
            self._closed = True
            self._tail = bytearray()
            self._empty_file()
            file, self._file = self._file, None
        if file is not None:
            file.close()

"""``wsgi.file_wrapper``, and how the server sends the file itself where it can.

:func:`plan_file` returns one message of the ASGI extensions ``http.response.pathsend`` or
``http.response.zerocopysend``, or None where reading the file in blocks is the only correct way.
Runs on the worker thread; the only I/O is the file's ``stat`` and position.

A server may open a path whenever it likes: granian does so after ``send`` has returned. So the
app's ``close()``, which may delete the file, runs before the server gets the path. A descriptor is
of no use to a server after ``send`` (ASGI spec, "Zero Copy Send"), so ``close()`` runs after it.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from bridge.types import Message

__all__ = ["PATHSEND", "FileWrapper", "is_at", "plan_file", "reads_on_any_thread"]

PATHSEND = "http.response.pathsend"
ZEROCOPYSEND = "http.response.zerocopysend"

_PLAIN = (io.BufferedReader, io.BufferedRandom, io.FileIO)
"""What ``open()`` returns. `tempfile` and Django wrap one in an object with a ``file``."""

_METHODS = ("close", "read", "seek", "seekable", "tell")


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling").

    If the app returns it unchanged, the server may send the file itself; inside any other iterable
    it is an ordinary iterable of blocks. It has those of ``close``, ``read``, ``seek``,
    ``seekable`` and ``tell`` that the file has, and no others: Werkzeug reads a file from its
    beginning up to a range if it cannot seek.

    :param filelike: an object with ``read(size) -> bytes``; its ``close()`` is called at the end.
    :param blksize: a suggested block size in bytes. At least 64 KiB are read: a block costs the
        same whatever its size.
    :ivar left: how many more bytes to read at most; the adapter sets it to the Content-Length.
    """

    close: Callable[[], object]

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = max(blksize, 65536)
        self.left: int | None = None
        self._take_methods()

    def _take_methods(self) -> None:
        for name in _METHODS:
            method = getattr(self.filelike, name, None)
            if method is not None:
                setattr(self, name, method)

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        size = self.blksize if self.left is None else min(self.blksize, self.left)
        block: bytes = self.filelike.read(size) if size else b""
        if not block:
            raise StopIteration
        if self.left is not None:
            self.left -= len(block)
        return block

    def close_early(self) -> None:
        """Call the app's ``close()`` now. From then on the file is read from a duplicate of its
        descriptor, from the beginning.

        :raises Exception: what ``close()`` raises.
        """
        close = self.close
        self.filelike = kept = io.FileIO(os.dup(self.filelike.fileno()))
        self._take_methods()
        kept.seek(0)
        close()


def plan_file(
    filelike: Any, content_length: int | None, extensions: Mapping[str, Any]
) -> Message | None:
    """The message that sends the rest of ``filelike``, from its position on.

    :param content_length: of the response, in bytes; None where the app has not set it.
    """
    pathsend = PATHSEND in extensions
    zerocopy = ZEROCOPYSEND in extensions
    if not (pathsend or zerocopy):
        return None
    if not _is_plain(filelike):
        return None  # what it reads may differ from what the descriptor has: a GzipFile, for one
    try:
        descriptor = filelike.fileno()
        offset = filelike.tell()
        status = os.fstat(descriptor)
    except (AttributeError, OSError, ValueError, TypeError):
        return None  # not a file of the operating system
    if not stat.S_ISREG(status.st_mode):
        return None
    count = status.st_size - offset
    if count < 0 or (content_length is not None and content_length > count):
        return None  # too short: reading it raises the error
    whole = offset == 0 and content_length in (None, count)
    # A temporary file is deleted when it is closed, so only what open() returns has a path to use.
    if pathsend and whole and type(filelike) in _PLAIN:
        name = getattr(filelike, "name", None)
        if isinstance(name, str) and is_at(name, filelike):
            return {"type": PATHSEND, "path": os.path.abspath(name)}
    if not zerocopy:
        return None
    return {
        "type": ZEROCOPYSEND,
        "file": _Descriptor(descriptor),
        "offset": offset,
        "count": count if content_length is None else content_length,
        "more_body": False,
    }


def reads_on_any_thread(filelike: Any) -> bool:
    """Whether it is a file on a disk: a read belongs to no thread, and does not wait for others."""
    if not _is_plain(filelike):
        return False
    try:
        return stat.S_ISREG(os.fstat(filelike.fileno()).st_mode)
    except (AttributeError, OSError, ValueError, TypeError):
        return False  # closed, for one


def _is_plain(filelike: Any) -> bool:
    return type(filelike) in _PLAIN or type(getattr(filelike, "file", None)) in _PLAIN


def is_at(path: str, filelike: Any) -> bool:
    """Whether a server that opens ``path`` finds this very file there."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(filelike.fileno()))
    except OSError:
        return False


class _Descriptor(int):
    """The spec's "file descriptor object": a number, and the ``fileno()`` that anycorn calls."""

    def fileno(self) -> int:
        return int(self)

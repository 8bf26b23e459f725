"""``wsgi.file_wrapper``, and how the server sends the file itself where it can.

:func:`plan_file` returns one message of the ASGI extensions ``http.response.pathsend`` or
``http.response.zerocopysend``, or None where reading the file in blocks is the only correct way.
Runs on the worker thread; the only I/O is the file's ``stat``.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from typing import Any

from bridge.types import Message

__all__ = ["FileWrapper", "plan_file"]

_PLAIN = (io.BufferedReader, io.BufferedRandom, io.FileIO)
"""What ``open()`` returns. `tempfile` and Django wrap one in an object with a ``file``."""


class FileWrapper:
    """``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling").

    If the app returns it unchanged, the server may send the file itself; inside any other iterable
    it is an ordinary iterable of blocks.

    :param filelike: an object with ``read(size) -> bytes``; its ``close()`` is called at the end.
    :param blksize: a suggested block size in bytes. At least 64 KiB are read: a block costs the
        same whatever its size.
    :ivar left: how many more bytes to read at most; the adapter sets it to the Content-Length.
    """

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = max(blksize, 65536)
        self.left: int | None = None
        if hasattr(filelike, "close"):
            self.close = filelike.close

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


def plan_file(
    filelike: Any, content_length: int | None, extensions: Mapping[str, Any]
) -> Message | None:
    """The message that sends the rest of ``filelike``, from its position on.

    :param content_length: of the response, in bytes; None where the app has not set it.
    """
    pathsend = "http.response.pathsend" in extensions
    zerocopy = "http.response.zerocopysend" in extensions
    if not (pathsend or zerocopy):
        return None
    if not (type(filelike) in _PLAIN or type(getattr(filelike, "file", None)) in _PLAIN):
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
    if pathsend and whole and _is_found_by_path(filelike, status):
        return {"type": "http.response.pathsend", "path": os.path.abspath(filelike.name)}
    if not zerocopy:
        return None
    return {
        "type": "http.response.zerocopysend",
        "file": descriptor,
        "offset": offset,
        "count": count if content_length is None else content_length,
        "more_body": False,
    }


def _is_found_by_path(filelike: Any, status: os.stat_result) -> bool:
    """Whether a server that opens the file by its path finds this very file.

    granian opens it some time after ``send`` has returned. So a file that is deleted when it is
    closed, as temporary files are, must not be sent by its path: only what ``open()`` returns is.
    """
    if type(filelike) not in _PLAIN:
        return False
    try:
        return isinstance(filelike.name, str) and os.path.samestat(os.stat(filelike.name), status)
    except (AttributeError, OSError):
        return False

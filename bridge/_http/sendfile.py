"""``wsgi.file_wrapper`` -> the server's own way to send a file, where it offers one.

What enters: the file object an app has wrapped, and the scope's ``extensions``. What leaves: one
message of the ASGI extensions ``http.response.pathsend`` or ``http.response.zerocopysend``, or None
where reading the file in blocks is the only correct way. Runs on the worker thread.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from typing import Any

from bridge.types import Message

__all__ = ["plan_file"]

_PLAIN = (io.BufferedReader, io.BufferedRandom, io.FileIO)
"""What ``open()`` returns. `tempfile` and Django wrap one, and have it as ``file``."""


def plan_file(
    filelike: Any, content_length: int | None, extensions: Mapping[str, Any]
) -> Message | None:
    """The message that sends the rest of ``filelike``, from its position on.

    :param content_length: what the app has promised to send, in bytes.
    """
    pathsend = "http.response.pathsend" in extensions
    zerocopy = "http.response.zerocopysend" in extensions
    if not (pathsend or zerocopy):
        return None
    if not (type(filelike) in _PLAIN or type(getattr(filelike, "file", None)) in _PLAIN):
        return None  # what it reads may not be what the descriptor has: a GzipFile, for one
    try:
        descriptor = filelike.fileno()
        offset = filelike.tell()
        status = os.fstat(descriptor)
    except (AttributeError, OSError, ValueError, TypeError):
        return None  # no file of the operating system
    if not stat.S_ISREG(status.st_mode):
        return None
    count = status.st_size - offset
    if count < 0 or (content_length is not None and content_length > count):
        return None  # too short: reading it finds out, and says so
    whole = offset == 0 and content_length in (None, count)
    if pathsend and whole and _leads_to(filelike, status):
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


def _leads_to(filelike: Any, status: os.stat_result) -> bool:
    """Whether a server that opens the file by its path finds this very file.

    granian opens it some time after ``send`` has returned, so a file that goes when it is closed,
    as temporary ones do, must not be sent by its path: only what plain ``open()`` returns is.
    """
    if type(filelike) not in _PLAIN:
        return False
    try:
        return isinstance(filelike.name, str) and os.path.samestat(os.stat(filelike.name), status)
    except (AttributeError, OSError):
        return False

"""How many bytes a WebSocket message, or a file of a response, has. Pure, but for the ``stat``."""

from __future__ import annotations

import os

from bridge.types import Message, RawHeaders

__all__ = ["size_of", "size_of_file"]


def size_of(content: str | bytes | bytearray | memoryview) -> int:
    """Its length in bytes; text is sent as UTF-8."""
    if not isinstance(content, str) or content.isascii():
        return len(content)
    return len(content.encode("utf-8", "surrogatepass"))


def size_of_file(message: Message, headers: RawHeaders) -> int:
    """The length of a file that the server sends by itself; 0 if that cannot be known.

    :param message: ``http.response.pathsend`` or ``http.response.zerocopysend``.
    :param headers: of the response.
    """
    for name, value in headers:
        if bytes(name).lower() == b"content-length" and bytes(value).isdigit():
            return int(value)
    try:
        if "path" in message:
            return os.stat(message["path"]).st_size
        if message.get("count") is not None:
            return int(message["count"])
        return os.fstat(message["file"].fileno()).st_size - int(message.get("offset") or 0)
    except (KeyError, AttributeError, OSError, TypeError, ValueError):
        return 0  # the server reports what is wrong

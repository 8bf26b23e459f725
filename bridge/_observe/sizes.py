"""How many bytes a WebSocket message is. Pure."""

from __future__ import annotations

__all__ = ["size_of"]


def size_of(content: str | bytes | bytearray | memoryview) -> int:
    """Its length in bytes; text is sent as UTF-8."""
    if not isinstance(content, str) or content.isascii():
        return len(content)
    return len(content.encode("utf-8", "surrogatepass"))

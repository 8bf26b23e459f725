"""Response heads with which an app that echoes its client's text could split the response."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

__all__ = ["INJECTED", "PAYLOADS", "Payload"]

INJECTED = "X-Injected"
"""The name of a header that no response may have."""

_CONTROLS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u010a"]
_TEXTS = [
    f"a%{INJECTED}: 1",
    f"a%%{INJECTED}: 1%%",
    f"a%% HTTP/1.1 200 OK%{INJECTED}: 1",
    f"%{INJECTED}: 1",
    "a%",
]


@dataclass(frozen=True)
class Payload:
    """A text in one place of a response head.

    :ivar place: ``status``, ``name``, ``value``, ``cookie`` or ``content-length``.
    """

    place: str
    text: str

    def _head(self) -> tuple[str, list[tuple[str, str]]]:
        text, fields = self.text, [("content-type", "text/plain"), ("content-length", "7")]
        if self.place == "name":
            fields.append((text, "1"))
        elif self.place == "value":
            fields.append(("x-echo", text))
        elif self.place == "cookie":
            fields.append(("set-cookie", f"name={text}; Path=/"))
        elif self.place == "content-length":
            fields[1] = ("content-length", f"7{text}")
        return (f"200 {text}" if self.place == "status" else "200 OK"), fields

    def wsgi(self) -> tuple[str, list[tuple[str, str]]]:
        """The arguments of ``start_response``."""
        return self._head()

    def asgi(self) -> tuple[Any, list[tuple[bytes, bytes]]]:
        """Status and headers of an ``http.response.start`` message."""
        status, fields = self._head()
        encoded = [
            (name.encode("utf-8"), value.encode("utf-8" if "\u010a" in value else "latin-1"))
            for name, value in fields
        ]
        return (status if self.place == "status" else 200), encoded


PAYLOADS = [
    Payload(place, text.replace("%", control))
    for place, text, control in product(
        ["status", "name", "value", "cookie", "content-length"], _TEXTS, _CONTROLS
    )
]

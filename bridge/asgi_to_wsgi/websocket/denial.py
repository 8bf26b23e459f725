"""A response in place of a WebSocket: the app's, as in the ASGI extension "WebSocket Denial
Response", or one of bridge. Made on the loop thread.

The server sends it, if its thread still waits when the response is complete. Otherwise it is
written to the connection, which is taken over by then, and closed after it.
"""

from __future__ import annotations

from bridge._http.response_heads import head_for_wsgi, status_line
from bridge._http.websocket_handshake import raw_head
from bridge.asgi_to_wsgi.websocket.connection import Connection
from bridge.errors import AppProtocolError
from bridge.types import Message, ResponseHeaders

__all__ = ["Denial"]


class Denial:
    """One response.

    :param status: a status line.
    :param headers: without a Content-Length: the body ends with the connection, or is complete.
    :ivar is_begun: a part of it is sent.
    :ivar is_complete: nothing follows.
    """

    __slots__ = ("_body", "_headers", "_is_bodyless", "is_begun", "is_complete", "status")

    def __init__(self, status: str, headers: ResponseHeaders, *, is_bodyless: bool = False) -> None:
        self.status = status
        self._headers = headers
        self._body: list[bytes] = []
        self._is_bodyless = is_bodyless
        self.is_begun = False
        self.is_complete = False

    @classmethod
    def of_app(cls, message: Message) -> Denial:
        """The response that a ``websocket.http.response.start`` begins.

        :raises AppProtocolError: naming what the ASGI spec does not allow.
        """
        head = head_for_wsgi(message)
        headers = [field for field in head.headers if field[0] != "content-length"]
        return cls(head.status, headers, is_bodyless=head.bodyless)

    @classmethod
    def of_bridge(cls, status: int, text: str) -> Denial:
        """A complete response."""
        headers = [("content-type", "text/plain; charset=utf-8")]
        if status == 503:
            headers.append(("retry-after", "1"))
        denial = cls(status_line(status), headers)
        denial.add({"body": text.encode()})
        return denial

    def add(self, message: Message) -> None:
        """A ``websocket.http.response.body``.

        :raises AppProtocolError: its body is no bytes.
        """
        body = message.get("body", b"")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise AppProtocolError(
                f"websocket.http.response.body: body is {type(body).__name__}; the ASGI spec asks "
                "for bytes"
            )
        if not self._is_bodyless:
            self._body.append(bytes(body))
        self.is_complete = not message.get("more_body", False)

    def for_server(self) -> tuple[ResponseHeaders, bytes]:
        """The headers and the body of a complete response."""
        body = b"".join(self._body)
        return [*self._headers, ("content-length", str(len(body)))], body

    @property
    def has_id(self) -> bool:
        """Whether it has an ``X-Request-ID``."""
        return any(name.lower() == "x-request-id" for name, _ in self._headers)

    def add_headers(self, headers: ResponseHeaders) -> None:
        """Add headers, before anything is sent."""
        self._headers = [*self._headers, *headers]

    def write(self, connection: Connection) -> int:
        """Send what there is of it, and close the connection after its end.

        :returns: how many bytes of its body that is.
        """
        headers, body = self.for_server()
        self._body.clear()
        if not self.is_begun:
            connection.deny(raw_head(self.status, headers if self.is_complete else self._headers))
            self.is_begun = True
        connection.deny(body)
        if self.is_complete:
            connection.finish()
        return len(body)

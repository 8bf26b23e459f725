"""What a WebSocket adds to the record of its request, once the server's part of it is over.

All methods run on the loop thread. The record ends with the connection and the app's task,
whichever is later. If the server has answered instead, its response ends the record.
"""

from __future__ import annotations

from bridge._observe.record import RequestRecord
from bridge._observe.settings import added_headers, has_id
from bridge.types import Message, ResponseHeaders

__all__ = ["SessionRecord"]


class SessionRecord:
    """The record of one WebSocket.

    :ivar is_attached: the connection is not the server's any more.
    :ivar is_lost: it is closed.
    """

    __slots__ = ("_is_ended", "is_attached", "is_lost", "request")

    def __init__(self, request: RequestRecord) -> None:
        self.request = request
        request.waits()
        self.is_attached = False
        self.is_lost = False
        self._is_ended = False

    def accepted(self, message: Message) -> Message:
        """The ``websocket.accept`` with the headers of the record."""
        self.request.status = 101
        headers = message.get("headers") or ()
        more = added_headers(self.request, has_id(headers))
        if not more:
            return message
        added = [(name.encode("ascii"), value.encode("ascii")) for name, value in more]
        return {**message, "headers": [*headers, *added]}

    def denied(self, status: str, has_id: bool) -> ResponseHeaders:
        """A response is written to the connection, and not passed to the server.

        :returns: headers to add to it.
        """
        self.request.status = int(status[:3])
        return added_headers(self.request, has_id)

    def end_if(self, *, task_ended: bool) -> None:
        """End the record, if nothing of the request is left."""
        if task_ended and self.is_attached and self.is_lost and not self._is_ended:
            self._is_ended = True
            self.request.end()

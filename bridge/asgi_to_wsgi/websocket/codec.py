"""The codec for frames: the sans-I/O protocol of the package `websockets`, and its extension.

Importing this module imports `websockets`, which is optional. It parses and makes frames, answers
pings and closes, and limits the size of messages; it reads and writes no socket.
"""

from __future__ import annotations

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from bridge.config import WebSocketOptions
from bridge.types import Environ

__all__ = ["Codec", "negotiated_codec"]


class Codec(ServerProtocol):
    """The codec of one connection."""

    def recv_frame(self, frame: Frame) -> None:
        """A frame of the client has arrived."""
        if frame.opcode is Opcode.CLOSE:
            # It may come in the middle of a fragmented message (RFC 6455, 5.4), which is then
            # dropped. `websockets` counts the bytes of such a message, and would answer 1002.
            self.current_size: int | None = None
            self.cur_size: int | None = None  # its name before `websockets` 16
        super().recv_frame(frame)


_DEFLATE = ServerPerMessageDeflateFactory(
    # Without context takeover a message is compressed by itself: no socket keeps a window of the
    # messages before, which would be up to 300 KB.
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


def negotiated_codec(environ: Environ, options: WebSocketOptions) -> tuple[Codec, str | None]:
    """A codec for the client of this handshake, in the state after it.

    :returns: the codec, and the value of ``Sec-WebSocket-Extensions`` for the response.
    """
    offered: str | None = environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS")
    extensions = [_DEFLATE] if options.per_message_deflate and offered else []
    codec = Codec(extensions=extensions, state=State.OPEN, max_size=options.max_message_bytes)
    response = None
    if offered and extensions:
        try:
            response, codec.extensions = codec.process_extensions(
                Headers({"Sec-WebSocket-Extensions": offered})
            )
        except InvalidHandshake:  # malformed: no extension is used
            codec.extensions = []
        if any(_has_window_of_8_bits(each) for each in codec.extensions):
            response, codec.extensions = None, []
    return codec, response


def _has_window_of_8_bits(extension: Extension) -> bool:
    """zlib compresses with no such window. Old releases of websockets negotiate one."""
    return getattr(extension, "local_max_window_bits", None) == 8

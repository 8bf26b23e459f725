"""The codec for frames: the sans-I/O protocol of the package `websockets`, and its extension.

Importing this module imports `websockets`, which is optional. It parses and makes frames, answers
pings and closes, and limits the size of messages; it reads and writes no socket.
"""

from __future__ import annotations

from typing import TypeAlias

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.protocol import State
from websockets.server import ServerProtocol

from bridge.config import WebSocketOptions
from bridge.types import Environ

__all__ = ["Codec", "negotiated_codec"]

Codec: TypeAlias = ServerProtocol

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
    codec = ServerProtocol(
        extensions=extensions, state=State.OPEN, max_size=options.max_message_bytes
    )
    response = None
    if offered and extensions:
        try:
            response, codec.extensions = codec.process_extensions(
                Headers({"Sec-WebSocket-Extensions": offered})
            )
        except InvalidHandshake:  # malformed: no extension is used
            codec.extensions = []
    return codec, response

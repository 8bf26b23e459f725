"""The access log: one line for each request, on the logger ``bridge.access``, at level INFO.

Logged when the request has ended, on the thread that ended it. What a client has sent is escaped:
one request is one line, whatever its path is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bridge._http.client_text import LONGEST, ClientText, one_line
from bridge._observe.record import RequestRecord, current_request

__all__ = ["ACCESS_LOGGER", "FORMATS", "AccessLog", "LineFormat", "RequestIdFilter"]

ACCESS_LOGGER = "bridge.access"
logger = logging.getLogger(ACCESS_LOGGER)

LineFormat = Callable[[RequestRecord], str]


def text_line(record: RequestRecord) -> str:
    """The fields that are always there, and then ``name=value`` for what is known.

    ::

        127.0.0.1 GET /shop 200 total=3.1ms queue=0.2ms thread=2.6ms in=0 out=5120 id=4f2c
    """
    status = "-" if record.status is None else record.status
    line = (
        f"{_shown(record.client)} {ClientText(record.method)} {ClientText(record.path)} {status}"
        f" total={_milliseconds(record.total_s)} queue={_milliseconds(record.waited_s)}"
        f" thread={_milliseconds(record.thread_s)}"
        f" in={record.received_bytes} out={record.sent_bytes}"
    )
    if record.kind == "websocket":
        line += " websocket"
    if record.disconnected:
        line += " disconnected"
    if record.error is not None:
        line += f" error={ClientText(record.error)}"
    if record.request_id is not None:
        line += f" id={record.request_id}"
    return line


def json_line(record: RequestRecord) -> str:
    """An object with every field. Times are in seconds; ``time`` is when the request ended."""
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": record.kind,
            "client": record.client,
            "method": record.method[:LONGEST],
            "path": record.path[:LONGEST],
            "status": record.status,
            "total_s": _rounded(record.total_s),
            "queue_s": _rounded(record.waited_s),
            "proxy_wait_s": _rounded(record.proxy_wait_s),
            "thread_s": _rounded(record.thread_s),
            "received_bytes": record.received_bytes,
            "sent_bytes": record.sent_bytes,
            "disconnected": record.disconnected,
            "error": record.error,
            "request_id": record.request_id,
        }
    )


FORMATS: dict[str, LineFormat] = {"text": text_line, "json": json_line}


def _shown(text: str | None) -> object:
    return "-" if text is None else ClientText(text)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}ms"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


class AccessLog:
    """An observer that logs a line for each request that ends.

    All access logs are equal: a request that passes through two is logged by the outer one.

    :param line: makes the line. It is logged on one line whatever it contains.
    """

    def __init__(self, line: LineFormat = text_line) -> None:
        self._line = line

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessLog)

    def __hash__(self) -> int:
        return hash(AccessLog)

    def started(self, record: RequestRecord) -> None:
        """Nothing is logged yet."""

    def ended(self, record: RequestRecord) -> None:
        """Log the line."""
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", one_line(self._line(record)))


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to each log record, for the format of a handler: the ``X-Request-ID`` of
    the request that has logged it, or ``-``.

    ::

        handler.addFilter(bridge.RequestIdFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s [%(request_id)s] %(message)s"))

    Add it to a handler: a filter of a logger does not see what its children log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute. True: every record is logged."""
        request = current_request()
        shown: Any = None if request is None else request.request_id
        record.request_id = "-" if shown is None else shown
        return True

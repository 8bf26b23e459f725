"""The logs of servers that write a client's path or headers as they are.

Input: the name of a server's logger. Output: the same lines, without control characters; tracebacks
stay as they are. Runs in each process that serves, on the thread that logs.
"""

from __future__ import annotations

import logging

from bridge._http.client_text import one_line

__all__ = ["escape_lines"]


def escape_lines(logger: str) -> None:
    """Escape what is not printable in every record of this logger, for all of its handlers."""
    logging.getLogger(logger).addFilter(_escape)


def _escape(record: logging.LogRecord) -> bool:
    record.msg, record.args = one_line(record.getMessage()), None
    return True

"""Finds the file within a range response of Werkzeug, so that the server can send that part itself.

Imports nothing of Werkzeug. Runs on the worker thread.
"""

from __future__ import annotations

from typing import Any

from bridge._http.sendfile import FileWrapper

__all__ = ["wrapper_of_range"]


def wrapper_of_range(result: Any, content_length: int | None) -> FileWrapper | None:
    """The file wrapper within Werkzeug's wrapper of a range, at the beginning of the range.

    None for everything else, and where only iterating over ``result`` gives the right bytes.

    :param result: what the app has returned: Flask's ``send_file`` a ``_RangeWrapper``.
    :param content_length: of the response, in bytes. It ends the range.
    """
    kind = type(result)
    if kind.__name__ != "_RangeWrapper" or kind.__module__ != "werkzeug.wsgi":
        return None
    try:
        wrapper = result.iterable
        is_untouched = result.seekable and not result.read_length
        has_length = content_length is not None and result.byte_range == content_length
    except AttributeError:  # of another version
        return None
    if type(wrapper) is not FileWrapper or not is_untouched or not has_length:
        return None
    wrapper.filelike.seek(result.start_byte)
    return wrapper

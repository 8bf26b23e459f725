"""Settings that hold the mount point, read before it is known.

Django puts the mount point in front of a relative ``STATIC_URL`` or ``MEDIA_URL`` when one of them
is first looked at, and keeps the outcome for good. Its own handlers leave that to the first
request, which knows where it is mounted; we look earlier, and leave nothing behind. Any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

__all__ = ["mount_point_unknown"]

_PREFIXED = ("STATIC_URL", "MEDIA_URL")


@contextmanager
def mount_point_unknown() -> Iterator[None]:
    """Have Django forget afterwards what it took for the mount point of its settings."""
    try:
        yield
    finally:
        for name in _PREFIXED:
            vars(settings).pop(name, None)

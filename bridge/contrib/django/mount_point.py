"""Settings that contain the mount point, read before the mount point is known.

Django adds the mount point to a relative ``STATIC_URL`` or ``MEDIA_URL`` when it first reads the
setting, and caches the result. Its own handlers first read them in a request, which knows the mount
point. Code that reads them earlier uses :func:`mount_point_unknown`. Safe on any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

__all__ = ["mount_point_unknown"]

_CONTAIN_IT = ("STATIC_URL", "MEDIA_URL")


@contextmanager
def mount_point_unknown() -> Iterator[None]:
    """Remove the settings with a mount point from Django's cache at the end of the block."""
    try:
        yield
    finally:
        for name in _CONTAIN_IT:
            vars(settings).pop(name, None)

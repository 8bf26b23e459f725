"""bridge: the adapter between the two halves of the Python web.

>>> import bridge
>>> app = bridge.to_asgi(flask_app)  # doctest: +SKIP

Importing this package starts no thread and no event loop, and imports none of the extras.
"""

from __future__ import annotations

from bridge._version import __version__

__all__ = ["__version__"]

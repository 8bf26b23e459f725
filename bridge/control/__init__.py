"""See what a process of a server does: which requests run, where they stand, and what waits.

Nothing listens unless asked: ``bridge run --control``, or :func:`listen` in a worker::

    import bridge.control

    def post_worker_init(worker):           # gunicorn's hook: after the fork, in each worker
        bridge.control.listen()

    app = bridge.control.watch(app)         # adds percentiles, and requests of native apps

``bridge top`` and ``bridge stacks`` read it.
"""

from __future__ import annotations

from bridge.control.folders import ControlError
from bridge.control.recording import watch
from bridge.control.serve import listen

__all__ = ["ControlError", "listen", "watch"]

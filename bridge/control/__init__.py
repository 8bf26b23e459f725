"""See what a process of a server does: which request runs on which thread, where it stands, what waits.

Nothing listens unless asked: ``bridge run --control``, or :func:`listen` in a worker::

    import bridge.control

    def post_worker_init(worker):           # gunicorn's hook: after the fork, in each worker
        bridge.control.listen()

    app = bridge.control.watch(app)         # adds percentiles, and requests that bridge does not see

``bridge top`` and ``bridge stacks`` read it.
"""

from __future__ import annotations

from bridge.control.folders import ControlError
from bridge.control.serve import listen
from bridge.control.watch import watch

__all__ = ["ControlError", "listen", "watch"]

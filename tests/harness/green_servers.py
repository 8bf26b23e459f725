"""``python -m tests.harness.green_servers <gevent|eventlet> <target> <fd>``: serves until SIGTERM.

The WSGI servers of gevent and eventlet, in a process that is patched before anything else.
"""

from __future__ import annotations

import importlib
import signal
import socket
import sys
import warnings
from typing import Any


def _gevent(target: str, fd: int) -> None:
    from gevent import monkey  # type: ignore[import-untyped]  # has no stubs

    monkey.patch_all()
    import gevent
    from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # has no stubs

    listener = gevent.socket.socket(fileno=fd)
    listener.listen(128)
    server = WSGIServer(listener, _app(target), log=None)
    gevent.signal_handler(signal.SIGTERM, server.stop)
    server.serve_forever()


def _eventlet(target: str, fd: int) -> None:
    warnings.simplefilter("ignore")  # it is deprecated
    import eventlet  # type: ignore[import-untyped]  # has no stubs

    eventlet.monkey_patch()
    import eventlet.wsgi  # type: ignore[import-untyped]  # has no stubs

    listener = socket.socket(fileno=fd)
    listener.listen(128)
    server = eventlet.spawn(eventlet.wsgi.server, listener, _app(target), log_output=False)
    signal.signal(signal.SIGTERM, lambda *args: server.kill())
    try:
        server.wait()
    except eventlet.greenlet.GreenletExit:
        pass


def _app(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    {"gevent": _gevent, "eventlet": _eventlet}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))

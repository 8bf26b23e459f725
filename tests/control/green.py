"""A WSGI app under gevent: one view waits, another one takes the interpreter for itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

import bridge.control
from bridge.types import Environ, StartResponse


def site(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/waits":
        wait_forever()
    if environ["PATH_INFO"] == "/spins":
        spin()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def wait_forever() -> None:
    threading.Event().wait()  # gevent's: other greenlets run


def spin() -> None:
    while True:  # no other greenlet runs from here on
        pass


app = bridge.control.watch(site)
bridge.control.listen(os.environ["CONTROL"])

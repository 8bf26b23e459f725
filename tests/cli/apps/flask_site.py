"""A Flask app as users have them: `bridge run` finds it by module, by file or by factory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

from flask import Flask, request

from tests.harness.control import gate, report

app = Flask(__name__)


def create_app(name: str, *, shout: bool = False) -> Flask:
    """A factory, to be called once in each process that serves."""
    if "CALLS" in os.environ:
        report(os.environ["CALLS"], "made", pid=os.getpid())
    made = Flask(name)
    made.add_url_rule("/", view_func=lambda: name.upper() if shout else name)
    return made


@app.get("/")
def facts() -> dict[str, Any]:
    """Which thread answered, and where the app is mounted from its own point of view."""
    return {
        "framework": "flask",
        "pid": os.getpid(),
        "thread": threading.current_thread().name,
        "root_path": request.root_path if request.root_path != "/" else "",
        "path": request.path,
        "url": request.url,
    }


@app.get("/gated/<key>")
def gated(key: str) -> str:
    """Respond as soon as the test opens the gate."""
    gate(key, "go")
    return "finished"


@app.post("/read/<key>")
def read(key: str) -> dict[str, int]:
    """Read the body, and report that before."""
    report(key, "reading")
    return {"length": len(request.get_data())}


@app.get("/endless/<key>")
def endless(key: str) -> Iterator[bytes]:
    """Stream without an end."""
    return _ticks(key)


def _ticks(key: str) -> Iterator[bytes]:
    pause = threading.Event()
    try:
        while True:
            yield b"tick\n"
            pause.wait(0.05)
    finally:
        report(key, "closed", thread=threading.current_thread().name)


@app.get("/hang/<key>")
def hang(key: str) -> str:
    """Never return, whatever happens."""
    report(key, "hanging")
    threading.Event().wait()
    return "never"

"""Servers besides uvicorn and gunicorn, which `benchmarks.side_by_side` has: one worker each."""

from __future__ import annotations

from benchmarks.side_by_side import Contender
from bridge.cli.bench.processes import HOST, PORT

__all__ = ["granian_wsgi", "hypercorn_wsgi", "uvicorn_wsgi", "waitress"]


def granian_wsgi(name: str, target: str, threads: int | None = None, **env: str) -> Contender:
    """``target`` on granian, whose WSGI is its own, in Rust.

    :param threads: that run the app; None for as many as granian takes by itself.
    """
    where = ["--host", HOST, "--port", PORT]
    options = ["--interface", "wsgi", "--log-level", "error"]
    blocking = [] if threads is None else ["--blocking-threads", str(threads)]
    return Contender(name, ["-m", "granian", target, *where, *options, *blocking], env)


def hypercorn_wsgi(name: str, target: str, **env: str) -> Contender:
    """``target`` on hypercorn with uvloop, by way of its own WSGI wrapper."""
    options = ["--worker-class", "uvloop", "--workers", "0", "--log-level", "error"]
    where = ["--bind", f"{HOST}:{PORT}"]
    return Contender(name, ["-m", "hypercorn", f"wsgi:{target}", *where, *options], env)


def uvicorn_wsgi(name: str, target: str, **env: str) -> Contender:
    """``target`` on uvicorn, by way of its own WSGI wrapper, which it has deprecated."""
    options = "--loop uvloop --http httptools --no-access-log --log-level warning"
    command = ["-m", "uvicorn", target, "--port", PORT, "--interface", "wsgi", *options.split()]
    return Contender(name, ["-W", "ignore", *command], env)


def waitress(name: str, target: str, threads: int = 10, **env: str) -> Contender:
    """``target`` on waitress."""
    options = [f"--listen={HOST}:{PORT}", f"--threads={threads}"]
    return Contender(name, ["-m", "waitress", *options, target], env)

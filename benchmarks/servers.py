"""Contenders on further servers, with one worker each; `benchmarks.side_by_side` has the others."""

from __future__ import annotations

from benchmarks.side_by_side import Contender
from bridge.cli.bench.processes import HOST, PORT

__all__ = ["granian_wsgi", "hypercorn_wsgi", "uvicorn_wsgi", "waitress"]


def granian_wsgi(name: str, target: str, threads: int | None = None, **env: str) -> Contender:
    """``target`` on granian, which implements WSGI itself, in Rust.

    :param threads: threads that run the app; None for granian's default.
    """
    where = ["--host", HOST, "--port", PORT]
    options = ["--interface", "wsgi", "--log-level", "error"]
    blocking = [] if threads is None else ["--blocking-threads", str(threads)]
    return Contender(name, ["-m", "granian", target, *where, *options, *blocking], env)


def hypercorn_wsgi(name: str, target: str, **env: str) -> Contender:
    """``target`` on hypercorn with uvloop, behind hypercorn's own WSGI wrapper."""
    options = ["--worker-class", "uvloop", "--workers", "0", "--log-level", "error"]
    where = ["--bind", f"{HOST}:{PORT}"]
    return Contender(name, ["-m", "hypercorn", f"wsgi:{target}", *where, *options], env)


def uvicorn_wsgi(name: str, target: str, **env: str) -> Contender:
    """``target`` on uvicorn, behind uvicorn's own WSGI wrapper, which is deprecated."""
    options = "--loop uvloop --http httptools --no-access-log --log-level warning"
    command = ["-m", "uvicorn", target, "--port", PORT, "--interface", "wsgi", *options.split()]
    return Contender(name, ["-W", "ignore", *command], env)


def waitress(name: str, target: str, threads: int = 10, **env: str) -> Contender:
    """``target`` on waitress."""
    options = [f"--listen={HOST}:{PORT}", f"--threads={threads}"]
    return Contender(name, ["-m", "waitress", *options, target], env)
